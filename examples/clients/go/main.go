// Calls a running fleet: traces and runs the gradient of a program, then writes a row of a table and reads it back.
//
//	./generate.sh && go run . HOST:PORT
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	common "megalith.example/client/gen/megalith/common/v1"
	execute "megalith.example/client/gen/megalith/execute/v1"
	table "megalith.example/client/gen/megalith/table/v1"
	trace "megalith.example/client/gen/megalith/trace/v1"
)

const program = "{ lambda ; a:f32[3]. let b:f32[3] = tanh a; c:f32[] = reduce_sum[axes=(0,) out_sharding=None] b in (c,) }"

func pack(values any) []byte { return must(binary.Append(nil, binary.LittleEndian, values)) }

func floats(data []byte) []float32 {
	values := make([]float32, len(data)/4)
	must(binary.Decode(data, binary.LittleEndian, values))
	return values
}

func must[T any](answer T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return answer
}

func main() {
	channel := must(grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials())))
	ctx := context.Background()
	source := &trace.ProgramSource{Form: &trace.ProgramSource_JaxprText{JaxprText: program}}
	stack := []*trace.Transform{{Kind: &trace.Transform_Grad{Grad: &trace.Grad{}}}}
	traced := must(trace.NewTraceServiceClient(channel).Trace(ctx, &trace.TraceRequest{Source: source, Stack: stack}))
	fmt.Println("the gradient has", len(strings.Split(traced.JaxprText, "\n")), "lines")

	x := &common.TensorProto{Dtype: "f32", Dims: []int64{3}, Data: pack([]float32{0, 0.5, 1})}
	ran := must(execute.NewExecuteServiceClient(channel).Execute(ctx, &execute.ExecuteRequest{
		Program:   &execute.ExecuteRequest_Chain{Chain: &execute.ProgramChain{Source: source, Stack: stack}},
		Arguments: []*execute.Argument{{Kind: &execute.Argument_Tensor{Tensor: x}}}}))
	fmt.Println("gradient:", floats(ran.Results[0].GetTensor().Data))

	tables, name, ids := table.NewTableServiceClient(channel), "example_go", pack([]int64{7})
	must(tables.CreateTable(ctx, &table.CreateTableRequest{Name: name, Config: &table.TableConfig{Segments: []*table.Segment{{Dim: 2}}}}))
	must(tables.Assign(ctx, &table.AssignRequest{Parts: []*table.ValueBatch{{Table: name, Ids: ids, Values: pack([]float32{1.5, -2})}}}))
	fmt.Println("row:", floats(must(tables.Lookup(ctx, &table.LookupRequest{Parts: []*table.IdBatch{{Table: name, Ids: ids}}})).Rows))
}
