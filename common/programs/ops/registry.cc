#include "common/programs/ops/registry.h"

#include "common/programs/ops/families.h"

namespace megalith::ops {

const ir::OpTable& AllOps() {
  static const ir::OpTable table = [] {
    const std::span<const ir::OpDef> families[] = {
        ArithmeticOps(),
        BitwiseOps(),
        CallOps(),
        CompareOps(),
        ConvertOps(),
        ConvolutionOps(),
        CumulativeOps(),
        DotOps(),
        DynamicSliceOps(),
        GatherOps(),
        ReductionOps(),
        ScatterOps(),
        ShapeOps(),
        SortingOps(),
        TranscendentalOps(),
        UnaryOps(),
        WindowOps(),
    };
    return ir::OpTable(families);
  }();
  return table;
}

}  // namespace megalith::ops
