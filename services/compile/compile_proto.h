// Conversion between the engine's types and the wire; nothing else.
#pragma once

#include "megalith/compile/v1/compile.pb.h"
#include "services/compile/compile_engine.h"

namespace megalith::services {

compile::v1::Signature SignatureToProto(const Signature& signature);
compile::v1::CostEstimate CostToProto(const CostEstimate& cost);

}  // namespace megalith::services
