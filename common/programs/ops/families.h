// One function per family of primitives: its rows.
#pragma once

#include <span>

#include "common/programs/ir/op_def.h"

namespace megalith::ops {

std::span<const ir::OpDef> ArithmeticOps();      // arithmetic.cc
std::span<const ir::OpDef> BitwiseOps();         // bitwise.cc
std::span<const ir::OpDef> CallOps();            // call.cc
std::span<const ir::OpDef> CompareOps();         // compare.cc
std::span<const ir::OpDef> CondOps();            // cond.cc
std::span<const ir::OpDef> ConvertOps();         // convert.cc
std::span<const ir::OpDef> ConvolutionOps();     // convolution.cc
std::span<const ir::OpDef> CumulativeOps();      // cumulative.cc
std::span<const ir::OpDef> CustomOps();          // custom.cc
std::span<const ir::OpDef> DotOps();             // dot.cc
std::span<const ir::OpDef> DynamicSliceOps();    // dynamic_slice.cc
std::span<const ir::OpDef> FactorizationOps();   // factorizations.cc
std::span<const ir::OpDef> FftOps();             // fft.cc
std::span<const ir::OpDef> GammaOps();           // gamma.cc
std::span<const ir::OpDef> GatherOps();          // gather.cc
std::span<const ir::OpDef> LinearSolveOps();     // linear_solve.cc
std::span<const ir::OpDef> RandomOps();          // random.cc
std::span<const ir::OpDef> ReductionOps();       // reductions.cc
std::span<const ir::OpDef> RematOps();           // remat.cc
std::span<const ir::OpDef> ScanOps();            // scan.cc
std::span<const ir::OpDef> ScatterOps();         // scatter.cc
std::span<const ir::OpDef> ShapeOps();           // shapes.cc
std::span<const ir::OpDef> SolveOps();           // solve.cc
std::span<const ir::OpDef> SortingOps();         // sorting.cc
std::span<const ir::OpDef> SpecialOps();         // special.cc
std::span<const ir::OpDef> TranscendentalOps();  // transcendental.cc
std::span<const ir::OpDef> UnaryOps();           // unary.cc
std::span<const ir::OpDef> WhileOps();           // while.cc
std::span<const ir::OpDef> WindowOps();          // windows.cc

}  // namespace megalith::ops
