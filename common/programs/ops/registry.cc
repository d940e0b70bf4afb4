#include "common/programs/ops/registry.h"

#include "common/programs/ops/families.h"

namespace megalith::ops {

const ir::OpTable& AllOps() {
  static const ir::OpTable table = [] {
    const std::span<const ir::OpDef> families[] = {
        ArithmeticOps(),     BitwiseOps(),       CallOps(),       CompareOps(), CondOps(),
        ConvertOps(),        ConvolutionOps(),   CumulativeOps(), CustomOps(),  DotOps(),
        DynamicSliceOps(),   FactorizationOps(), FftOps(),        GammaOps(),   GatherOps(),
        LinearSolveOps(),    RandomOps(),        ReductionOps(),  RematOps(),   ScanOps(),
        ScatterOps(),        ShapeOps(),         SolveOps(),      SortingOps(), SpecialOps(),
        TranscendentalOps(), UnaryOps(),         WhileOps(),      WindowOps(),
    };
    return ir::OpTable(families);
  }();
  return table;
}

}  // namespace megalith::ops
