// Calls a running fleet: traces and runs the gradient of a program, then writes a row of a table and reads it back.
//   mvn -q compile exec:java -Dexec.args=HOST:PORT
import com.google.protobuf.ByteString;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import megalith.common.v1.Common.TensorProto;
import megalith.execute.v1.Execute;
import megalith.execute.v1.ExecuteServiceGrpc;
import megalith.table.v1.Table;
import megalith.table.v1.TableServiceGrpc;
import megalith.trace.v1.Trace;
import megalith.trace.v1.TraceServiceGrpc;

public class Client {
  static final String PROGRAM =
      "{ lambda ; a:f32[3]. let b:f32[3] = tanh a; c:f32[] = reduce_sum[axes=(0,) out_sharding=None] b in (c,) }";

  static ByteString floats(float... values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) bytes.putFloat(value);
    return ByteString.copyFrom(bytes.flip());
  }

  static String numbers(ByteString bytes) {
    float[] values = new float[bytes.size() / 4];
    bytes.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
    return Arrays.toString(values);
  }

  public static void main(String[] args) {
    var channel = Grpc.newChannelBuilder(args[0], InsecureChannelCredentials.create()).build();
    var source = Trace.ProgramSource.newBuilder().setJaxprText(PROGRAM);
    var grad = Trace.Transform.newBuilder().setGrad(Trace.Grad.getDefaultInstance());
    var traced = TraceServiceGrpc.newBlockingStub(channel)
        .trace(Trace.TraceRequest.newBuilder().setSource(source).addStack(grad).build());
    System.out.println("the gradient has " + traced.getJaxprText().lines().count() + " lines");

    var x = TensorProto.newBuilder().setDtype("f32").addDims(3).setData(floats(0f, 0.5f, 1f));
    var ran = ExecuteServiceGrpc.newBlockingStub(channel).execute(Execute.ExecuteRequest.newBuilder()
        .setChain(Execute.ProgramChain.newBuilder().setSource(source).addStack(grad))
        .addArguments(Execute.Argument.newBuilder().setTensor(x)).build());
    System.out.println("gradient: " + numbers(ran.getResults(0).getTensor().getData()));

    var tables = TableServiceGrpc.newBlockingStub(channel);
    var ids = ByteString.copyFrom(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(7).flip());
    var config = Table.TableConfig.newBuilder().addSegments(Table.Segment.newBuilder().setDim(2));
    tables.createTable(Table.CreateTableRequest.newBuilder().setName("example_java").setConfig(config).build());
    tables.assign(Table.AssignRequest.newBuilder().addParts(Table.ValueBatch.newBuilder()
        .setTable("example_java").setIds(ids).setValues(floats(1.5f, -2f))).build());
    var rows = tables.lookup(Table.LookupRequest.newBuilder()
        .addParts(Table.IdBatch.newBuilder().setTable("example_java").setIds(ids)).build());
    System.out.println("row: " + numbers(rows.getRows()));
    channel.shutdown();
  }
}
