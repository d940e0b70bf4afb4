#include "common/machines/codegen/cpu/ir_dot.h"

#include <llvm/IR/Function.h>
#include <llvm/IR/IRBuilder.h>

#include <algorithm>

namespace megalith::codegen {
namespace {

using kernels::DotParams;
using llvm::AllocaInst;
using llvm::BasicBlock;
using llvm::Type;
using llvm::Value;

class DotEmitter {
 public:
  DotEmitter(const DotRequest& dot, const TargetTraits& traits, Value* odd,
             llvm::IRBuilderBase& builder, std::vector<AllocaInst*>* variables)
      : p_(dot.params),
        traits_(traits),
        odd_(odd),
        b_(builder),
        variables_(variables),
        element_(dot.dtype == runtime::DType::kF32 ? b_.getFloatTy() : b_.getDoubleTy()),
        width_(traits.vector_bits / element_->getScalarSizeInBits()) {}

  void Emit(Value* lhs, Value* rhs, Value* out) {
    Count(p_.batch, [&](Value* i) {
      Count(p_.inner, [&](Value* j) {
        Value* l = At(At(lhs, i, p_.lhs_batch), j, p_.lhs_inner);
        Value* r = At(At(rhs, i, p_.rhs_batch), j, p_.rhs_inner);
        Value* o = At(At(out, i, p_.inner * p_.m * p_.n), j, p_.m * p_.n);
        const bool sums = p_.rhs_row == 1 && p_.lhs_col == 1;
        if (sums && (p_.n == 1 || p_.rhs_col != 1)) {
          Sums(l, r, o);
        } else {
          Rows(l, r, o);
        }
      });
    });
  }

 private:
  Value* I64(int64_t v) { return b_.getInt64(static_cast<uint64_t>(v)); }
  Value* At(Value* base, Value* position, int64_t stride) {
    if (stride == 0) return base;
    return b_.CreateGEP(element_, base, b_.CreateMul(position, I64(stride)));
  }
  Value* At(Value* base, int64_t offset) {
    return offset == 0 ? base : b_.CreateGEP(element_, base, I64(offset));
  }
  AllocaInst* Variable(Type* type) {
    BasicBlock& entry = b_.GetInsertBlock()->getParent()->getEntryBlock();
    llvm::IRBuilder<> at_entry(&entry, entry.begin());
    AllocaInst* variable = at_entry.CreateAlloca(type);
    variables_->push_back(variable);
    return variable;
  }
  Value* Get(AllocaInst* variable) { return b_.CreateLoad(variable->getAllocatedType(), variable); }

  // `body` is run once, while emitting, for positions 0, step, ... below extent (a multiple).
  template <typename F>
  void Count(int64_t extent, const F& body, int64_t step = 1) {
    if (extent <= 0) return;
    if (extent == step) {
      body(I64(0));
      return;
    }
    llvm::Function* function = b_.GetInsertBlock()->getParent();
    AllocaInst* position = Variable(b_.getInt64Ty());
    b_.CreateStore(I64(0), position);
    BasicBlock* loop = BasicBlock::Create(b_.getContext(), "loop", function);
    BasicBlock* done = BasicBlock::Create(b_.getContext(), "done");
    b_.CreateBr(loop);
    b_.SetInsertPoint(loop);
    body(Get(position));
    Value* next = b_.CreateAdd(Get(position), I64(step));
    b_.CreateStore(next, position);
    b_.CreateCondBr(b_.CreateICmpSLT(next, I64(extent)), loop, done);
    function->insert(function->end(), done);
    b_.SetInsertPoint(done);
  }

  Type* Vector(unsigned width) {
    return width == 1 ? element_ : static_cast<Type*>(llvm::FixedVectorType::get(element_, width));
  }
  Value* Splat(Value* value, unsigned width) {
    return width == 1 ? value : b_.CreateVectorSplat(width, value);
  }
  Value* MultiplyAdd(Value* a, Value* b, Value* c) {
    if (!traits_.fma) return b_.CreateFAdd(b_.CreateFMul(a, b), c);
    return b_.CreateIntrinsic(llvm::Intrinsic::fma, {a->getType()}, {a, b, c});
  }
  Value* Load(Type* type, Value* pointer, Value* mask) {
    const llvm::Align align(element_->getScalarSizeInBits() / 8);
    if (mask == nullptr) return b_.CreateAlignedLoad(type, pointer, align);
    return b_.CreateMaskedLoad(type, pointer, align, mask, llvm::Constant::getNullValue(type));
  }
  void Store(Value* value, Value* pointer, Value* mask) {
    const llvm::Align align(element_->getScalarSizeInBits() / 8);
    if (mask == nullptr) {
      b_.CreateAlignedStore(value, pointer, align);
    } else {
      b_.CreateMaskedStore(value, pointer, align, mask);
    }
  }
  Value* FirstLanes(unsigned width, int64_t live) {
    std::vector<llvm::Constant*> bits;
    for (unsigned i = 0; i < width; ++i) bits.push_back(b_.getInt1(i < live));
    return llvm::ConstantVector::get(bits);
  }

  // --- vectors along the columns of rhs and out ---

  // A block of `rows` by `vectors` vectors of `width` lanes; the last of which may have fewer.
  struct Block {
    int64_t rows = 1, vectors = 1;
    unsigned width = 1;
    int64_t last_lanes = 1;
  };

  // The sums over `count` products of a block.
  std::vector<Value*> SumsOf(const Block& block, Value* lhs, Value* rhs, int64_t count,
                             Value* mask) {
    Type* type = Vector(block.width);
    std::vector<AllocaInst*> sums;
    for (int64_t i = 0; i < block.rows * block.vectors; ++i) {
      sums.push_back(Variable(type));
      b_.CreateStore(llvm::Constant::getNullValue(type), sums.back());
    }
    const int64_t unroll = count % 2 == 0 ? 2 : 1;
    Count(
        count,
        [&](Value* position) {
          for (int64_t u = 0; u < unroll; ++u) {
            Value* l = At(At(lhs, position, p_.lhs_col), u * p_.lhs_col);
            Value* r = At(At(rhs, position, p_.rhs_row), u * p_.rhs_row);
            Step(block, l, r, mask, sums);
          }
        },
        unroll);
    std::vector<Value*> values;
    for (AllocaInst* sum : sums) values.push_back(Get(sum));
    return values;
  }

  void Step(const Block& block, Value* l, Value* r, Value* mask,
            const std::vector<AllocaInst*>& sums) {
    std::vector<Value*> left;
    for (int64_t i = 0; i < block.rows; ++i) {
      left.push_back(Splat(Load(element_, At(l, i * p_.lhs_row), nullptr), block.width));
    }
    for (int64_t v = 0; v < block.vectors; ++v) {
      Value* right = Load(Vector(block.width), At(r, v * block.width),
                          v + 1 == block.vectors ? mask : nullptr);
      for (int64_t i = 0; i < block.rows; ++i) {
        AllocaInst* sum = sums[static_cast<size_t>(i * block.vectors + v)];
        b_.CreateStore(MultiplyAdd(left[static_cast<size_t>(i)], right, Get(sum)), sum);
      }
    }
  }

  // A quarter of the operand on the right stays in the first level of cache and the whole does not,
  // and nothing else of it is read in between.
  bool WorksInQuarters(const Block& block) const {
    const int64_t bytes = p_.k * p_.n * static_cast<int64_t>(element_->getScalarSizeInBits() / 8);
    return odd_ != nullptr && p_.m == 1 && p_.batch == 1 && p_.inner == 1 && p_.k % 8 == 0 &&
           block.vectors * block.width >= p_.n && p_.rhs_row == p_.n && bytes > (24 << 10) &&
           bytes <= (96 << 10);
  }

  std::vector<Value*> Added(std::vector<Value*> a, const std::vector<Value*>& b) {
    for (size_t i = 0; i < a.size(); ++i) a[i] = b_.CreateFAdd(a[i], b[i]);
    return a;
  }

  void EmitBlock(const Block& block, Value* lhs, Value* rhs, Value* out) {
    Value* mask =
        block.last_lanes == block.width ? nullptr : FirstLanes(block.width, block.last_lanes);
    std::vector<Value*> sums;
    if (WorksInQuarters(block)) {
      // From the first or from the last; sums of two are the same in either order.
      const int64_t quarter = p_.k / 4;
      Value* flip = b_.CreateMul(odd_, I64(3));
      const auto part = [&](int64_t number) {
        Value* at = b_.CreateXor(flip, I64(number));
        return SumsOf(block, At(lhs, at, quarter * p_.lhs_col), At(rhs, at, quarter * p_.rhs_row),
                      quarter, mask);
      };
      const std::vector<Value*> first = part(0);
      sums = Added(first, part(1));
      const std::vector<Value*> third = part(2);
      sums = Added(std::move(sums), Added(third, part(3)));
    } else {
      sums = SumsOf(block, lhs, rhs, p_.k, mask);
    }
    for (int64_t i = 0; i < block.rows; ++i) {
      for (int64_t v = 0; v < block.vectors; ++v) {
        Store(sums[static_cast<size_t>(i * block.vectors + v)], At(out, i * p_.n + v * block.width),
              v + 1 == block.vectors ? mask : nullptr);
      }
    }
  }

  // All columns of `rows` rows.
  void Columns(Value* lhs, Value* rhs, Value* out, int64_t rows) {
    const int64_t registers = traits_.avx512 ? 24 : 12;
    const int64_t most = std::max<int64_t>(1, std::min<int64_t>(16, registers / rows));
    const int64_t whole = p_.n / width_;
    int64_t done = whole / most;
    Count(
        done * most * width_,
        [&](Value* j) {
          EmitBlock({rows, most, width_, width_}, lhs, At(rhs, j, 1), At(out, j, 1));
        },
        most * width_);
    done *= most;
    int64_t left = p_.n - done * width_;
    const auto block = [&](int64_t vectors, unsigned width, int64_t lanes) {
      const int64_t at = p_.n - left;
      EmitBlock({rows, vectors, width, lanes}, lhs, At(rhs, at), At(out, at));
      left -= (vectors - 1) * width + lanes;
    };
    if (traits_.avx512 && left > 0) {
      const int64_t vectors = (left + width_ - 1) / width_;
      block(vectors, width_, left - (vectors - 1) * width_);
      return;
    }
    if (left >= width_) block(left / width_, width_, width_);
    for (unsigned width = width_ / 2; width >= 1; width /= 2) {
      if (left >= width) block(1, width, width);
    }
  }

  void Rows(Value* lhs, Value* rhs, Value* out) {
    const int64_t tall = p_.n >= 2 * width_ ? 4 : 2;
    const int64_t whole = p_.m / tall * tall;
    Count(
        whole, [&](Value* i) { Columns(At(lhs, i, p_.lhs_row), rhs, At(out, i, p_.n), tall); },
        tall);
    if (whole == p_.m) return;
    Columns(At(lhs, whole * p_.lhs_row), rhs, At(out, whole * p_.n), p_.m - whole);
  }

  // --- vectors along the sum ---

  Value* Fold(Value* lanes, unsigned width) {
    for (; width > 1; width /= 2) {
      const auto [a, b] = HalvesOf(b_, lanes, width);
      lanes = b_.CreateFAdd(a, b);
    }
    return lanes;
  }

  // `columns` neighbouring elements of one row.
  void SumBlock(Value* lhs, Value* rhs, Value* out, int64_t columns) {
    unsigned width = width_;
    while (width > 1 && p_.k < width) width /= 2;
    Type* type = Vector(width);
    std::vector<AllocaInst*> sums, singles;
    for (int64_t c = 0; c < columns; ++c) {
      sums.push_back(Variable(type));
      b_.CreateStore(llvm::Constant::getNullValue(type), sums.back());
      singles.push_back(Variable(element_));
      b_.CreateStore(llvm::Constant::getNullValue(element_), singles.back());
    }
    const auto add = [&](Value* l, Value* r, Type* t, const std::vector<AllocaInst*>& to) {
      Value* left = Load(t, l, nullptr);
      for (int64_t c = 0; c < columns; ++c) {
        AllocaInst* sum = to[static_cast<size_t>(c)];
        Value* right = Load(t, At(r, c * p_.rhs_col), nullptr);
        b_.CreateStore(MultiplyAdd(left, right, Get(sum)), sum);
      }
    };
    const int64_t whole = p_.k / width * width;
    Count(whole, [&](Value* p) { add(At(lhs, p, 1), At(rhs, p, 1), type, sums); }, width);
    Count(p_.k - whole, [&](Value* p) {
      add(At(At(lhs, whole), p, 1), At(At(rhs, whole), p, 1), element_, singles);
    });
    for (int64_t c = 0; c < columns; ++c) {
      const auto i = static_cast<size_t>(c);
      Value* sum = Fold(Get(sums[i]), width);
      if (whole < p_.k) sum = b_.CreateFAdd(sum, Get(singles[i]));
      Store(sum, At(out, c), nullptr);
    }
  }

  void Sums(Value* lhs, Value* rhs, Value* out) {
    constexpr int64_t kColumns = 8;
    const int64_t whole = p_.n / kColumns * kColumns;
    Count(p_.m, [&](Value* i) {
      Value* l = At(lhs, i, p_.lhs_row);
      Value* o = At(out, i, p_.n);
      Count(
          whole, [&](Value* j) { SumBlock(l, At(rhs, j, p_.rhs_col), At(o, j, 1), kColumns); },
          kColumns);
      if (whole < p_.n) SumBlock(l, At(rhs, whole * p_.rhs_col), At(o, whole), p_.n - whole);
    });
  }

  const DotParams& p_;
  const TargetTraits& traits_;
  Value* const odd_;
  llvm::IRBuilderBase& b_;
  std::vector<AllocaInst*>* const variables_;
  Type* const element_;
  const unsigned width_;
};

}  // namespace

void EmitDot(const DotRequest& dot, const TargetTraits& traits, Value* lhs, Value* rhs, Value* out,
             Value* odd, llvm::IRBuilderBase* builder, std::vector<AllocaInst*>* variables) {
  DotEmitter(dot, traits, odd, *builder, variables)
      .Emit(dot.swapped ? rhs : lhs, dot.swapped ? lhs : rhs, out);
}

}  // namespace megalith::codegen
