#!/bin/bash
# Makes Go code of the schemas into gen/ (protoc, and its plugins from the Go module proxy).
set -euo pipefail
cd "$(dirname "$0")"
protos=../../../protos
mkdir -p gen bin
GOBIN=$PWD/bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.34.2
GOBIN=$PWD/bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
options=()
files=()
for file in $(cd "$protos" && echo megalith/{common,compile,execute,ir,table,trace}/v1/*.proto); do
  package=megalith.example/client/gen/$(dirname "$file")
  options+=("--go_opt=M$file=$package" "--go-grpc_opt=M$file=$package")
  files+=("$file")
done
PATH=$PWD/bin:$PATH protoc -I"$protos" --go_out=. --go-grpc_out=. --go_opt=module=megalith.example/client \
  --go-grpc_opt=module=megalith.example/client "${options[@]}" "${files[@]}"
