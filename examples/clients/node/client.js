// Calls a running fleet: traces and runs the gradient of a program, then writes a row of a table and reads it back.
//   npm install && node client.js HOST:PORT
const path = require("path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const protos = path.resolve(__dirname, "../../../protos");
const load = (file) => grpc.loadPackageDefinition(
  loader.loadSync(file, { includeDirs: [protos], longs: String, defaults: true })).megalith;
const address = process.argv[2];
if (!address) throw new Error("usage: node client.js HOST:PORT");

const client = (Service) => new Service(address, grpc.credentials.createInsecure());
const call = (service, method, request) => new Promise((resolve, reject) =>
  service[method](request, { deadline: Date.now() + 60000 }, (error, answer) => error ? reject(error) : resolve(answer)));

const floats = (...values) => Buffer.from(Float32Array.from(values).buffer);
const numbers = (bytes) => Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));

const program = "{ lambda ; a:f32[3]. let b:f32[3] = tanh a; c:f32[] = reduce_sum[axes=(0,) out_sharding=None] b in (c,) }";

async function main() {
  const trace = client(load("megalith/trace/v1/trace.proto").trace.v1.TraceService);
  const stack = [{ grad: {} }];
  const traced = await call(trace, "Trace", { source: { jaxprText: program }, stack });
  console.log("the gradient has", traced.jaxprText.split("\n").length, "lines");

  const execute = client(load("megalith/execute/v1/execute.proto").execute.v1.ExecuteService);
  const run = await call(execute, "Execute", {
    chain: { source: { jaxprText: program }, stack },
    arguments: [{ tensor: { dtype: "f32", dims: [3], data: floats(0, 0.5, 1) } }],
  });
  console.log("gradient:", numbers(run.results[0].tensor.data).map((x) => x.toFixed(4)).join(" "));

  const tables = client(load("megalith/table/v1/table.proto").table.v1.TableService);
  const ids = Buffer.from(BigInt64Array.from([7n]).buffer);
  await call(tables, "CreateTable", { name: "example_node", config: { segments: [{ dim: 2 }] } });
  await call(tables, "Assign", { parts: [{ table: "example_node", ids, values: floats(1.5, -2) }] });
  const rows = await call(tables, "Lookup", { parts: [{ table: "example_node", ids }] });
  console.log("row:", numbers(rows.rows).join(" "));
}

main().catch((error) => { console.error(`${error.code}: ${error.details || error.message}`); process.exit(1); });
