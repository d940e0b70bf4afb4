#include "common/programs/stablehlo/artifact/raw_ops.h"

#include "common/foundation/base/strings.h"

namespace megalith::stablehlo::artifact {
namespace {

class OpReader {
 public:
  OpReader(const stablehlo::Limits& limits, Container* file) : limits_(limits), file_(*file) {}

  Status Run(Cursor in) {
    Scope scope;
    size_ = in.left();
    file_.top.has_block = true;
    RETURN_IF_ERROR(ReadBlock(in, scope, &file_.top));
    file_.num_values = next_value_;
    return in.ExpectEnd("the operations");
  }

 private:
  // Values visible at one point: number in the encoding -> number in the file. `next` is the one
  // that the next definition of the innermost region gets, `end` where that region's numbers end.
  struct Scope {
    std::vector<uint32_t> values;
    uint64_t next = 0, end = 0;
  };

  Result<uint32_t> Define(const Cursor& in, Scope& scope, uint64_t count) {
    if (count > scope.end - scope.next) return in.Error("more values than the region announced");
    const uint32_t first = count == 0 ? 0 : scope.values[scope.next];
    scope.next += count;
    announced_ -= count;
    return first;
  }

  // Order of uses, which says nothing about the program.
  Status SkipUseOrders(Cursor& in, uint64_t values) {
    uint64_t entries = 1;
    if (values > 1) {
      ASSIGN_OR_RETURN(entries, in.Count());
    }
    for (uint64_t i = 0; i < entries; ++i) {
      if (values > 1) RETURN_IF_ERROR(internal::StatusOf(in.Varint()));
      ASSIGN_OR_RETURN(const Flagged n, in.FlaggedVarint());
      if (n.value > in.left()) return in.Error(StrCat("a count of ", n.value));
      for (uint64_t k = 0; k < n.value; ++k) RETURN_IF_ERROR(internal::StatusOf(in.Varint()));
    }
    return OkStatus();
  }

  Status ReadBlock(Cursor& in, Scope& scope, RawRegion* region) {
    ASSIGN_OR_RETURN(const Flagged head, in.FlaggedVarint());
    if (head.flag) RETURN_IF_ERROR(ReadBlockArguments(in, scope, region));
    constexpr uint64_t kLeastOpBytes = 3;
    if (head.value > in.left() / kLeastOpBytes)
      return in.Error(StrCat("a block of ", head.value, " operations"));
    ops_ += head.value;
    if (ops_ > limits_.max_ops) {
      return ResourceExhausted(
          StrCat("the artifact has more than max_ops = ", limits_.max_ops, " operations"));
    }
    region->ops.reserve(head.value);
    for (uint64_t i = 0; i < head.value; ++i) {
      ASSIGN_OR_RETURN(RawOp op, ReadOp(in, scope));
      region->ops.push_back(std::move(op));
    }
    return OkStatus();
  }

  Status ReadBlockArguments(Cursor& in, Scope& scope, RawRegion* region) {
    ASSIGN_OR_RETURN(const uint64_t n, in.Count());
    region->arg_types.reserve(n);
    for (uint64_t i = 0; i < n; ++i) {
      Flagged type;
      if (file_.version >= 4) {
        ASSIGN_OR_RETURN(type, in.FlaggedVarint());
      } else {
        ASSIGN_OR_RETURN(type.value, in.Varint());
        type.flag = true;
      }
      if (type.value >= file_.types.size())
        return in.Error(StrCat("index ", type.value, " into ", file_.types.size(), " types"));
      if (type.flag)
        RETURN_IF_ERROR(internal::StatusOf(in.Index(file_.attributes.size(), "attributes")));
      region->arg_types.push_back(static_cast<uint32_t>(type.value));
    }
    ASSIGN_OR_RETURN(region->first_arg, Define(in, scope, n));
    if (file_.version < 3) return OkStatus();
    ASSIGN_OR_RETURN(const uint8_t has_orders, in.Byte());
    return has_orders != 0 ? SkipUseOrders(in, n) : OkStatus();
  }

  Result<RawOp> ReadOp(Cursor& in, Scope& scope) {
    RawOp op;
    op.offset = in.offset();
    ASSIGN_OR_RETURN(op.name, in.Index(file_.op_names.size(), "operation names"));
    ASSIGN_OR_RETURN(const uint8_t mask, in.Byte());
    if ((mask & 0x80) != 0) return in.Error("an operation with unknown parts");
    ASSIGN_OR_RETURN(op.location, in.Index(file_.attributes.size(), "attributes"));
    if ((mask & kHasDictionary) != 0) {
      ASSIGN_OR_RETURN(op.dictionary, in.Index(file_.attributes.size(), "attributes"));
    }
    if ((mask & kHasProperties) != 0) {
      ASSIGN_OR_RETURN(op.properties, in.Index(file_.properties.size(), "properties"));
    }
    if ((mask & kHasResults) != 0) {
      ASSIGN_OR_RETURN(const uint64_t n, in.Count());
      op.result_types.reserve(n);
      for (uint64_t i = 0; i < n; ++i) {
        ASSIGN_OR_RETURN(const uint32_t type, in.Index(file_.types.size(), "types"));
        op.result_types.push_back(type);
      }
    }
    ASSIGN_OR_RETURN(op.first_result, Define(in, scope, op.result_types.size()));
    if ((mask & kHasOperands) != 0) {
      ASSIGN_OR_RETURN(const uint64_t n, in.Count());
      op.operands.reserve(n);
      for (uint64_t i = 0; i < n; ++i) {
        ASSIGN_OR_RETURN(const uint32_t v, in.Index(scope.values.size(), "values in scope"));
        op.operands.push_back(scope.values[v]);
      }
    }
    if ((mask & kHasSuccessors) != 0) {
      return Unimplemented(
          StrCat("artifact byte ", in.offset(), ": jumps between blocks are not supported"));
    }
    if ((mask & kHasUseOrders) != 0) RETURN_IF_ERROR(SkipUseOrders(in, op.result_types.size()));
    if ((mask & kHasRegions) != 0) RETURN_IF_ERROR(ReadRegions(in, scope, &op));
    return op;
  }

  Status ReadRegions(Cursor& in, Scope& scope, RawOp* op) {
    ASSIGN_OR_RETURN(const Flagged n, in.FlaggedVarint());
    if (n.value > in.left()) return in.Error(StrCat("a count of ", n.value, " regions"));
    if (depth_ >= limits_.max_nesting) {
      return ResourceExhausted(
          StrCat("artifact byte ", in.offset(),
                 ": regions nest deeper than max_nesting = ", limits_.max_nesting));
    }
    ++depth_;
    Status status;
    if (n.flag && file_.version >= 2) {  // isolated: one section for all regions
      ASSIGN_OR_RETURN(const uint8_t id, in.Byte());
      if (id != kNestedSection) return in.Error("an isolated operation without its section");
      ASSIGN_OR_RETURN(const uint64_t size, in.Varint());
      ASSIGN_OR_RETURN(Cursor nested, in.Part(size));
      status = ReadEachRegion(nested, scope, n, op);
      if (status.ok()) status = nested.ExpectEnd("a region");
    } else {
      status = ReadEachRegion(in, scope, n, op);
    }
    --depth_;
    return status;
  }

  Status ReadEachRegion(Cursor& in, Scope& scope, Flagged n, RawOp* op) {
    for (uint64_t i = 0; i < n.value; ++i) {
      RawRegion region;
      if (n.flag) {
        Scope inner;
        RETURN_IF_ERROR(ReadRegion(in, inner, &region));
      } else {
        RETURN_IF_ERROR(ReadRegion(in, scope, &region));
      }
      op->regions.push_back(std::move(region));
    }
    return OkStatus();
  }

  Status ReadRegion(Cursor& in, Scope& scope, RawRegion* region) {
    ASSIGN_OR_RETURN(const uint64_t blocks, in.Varint());
    if (blocks == 0) return OkStatus();
    if (blocks > 1) {
      return Unimplemented(StrCat("artifact byte ", in.offset(), ": a region of ", blocks,
                                  " blocks is not supported"));
    }
    ASSIGN_OR_RETURN(const uint64_t values, in.Varint());
    // Every value takes a byte where it is defined, those that outer regions still owe included.
    if (values > size_ - announced_) return in.Error(StrCat("a region of ", values, " values"));
    announced_ += values;
    const Scope outer{.values = {}, .next = scope.next, .end = scope.end};
    const size_t visible = scope.values.size();
    scope.next = visible;
    scope.end = visible + values;
    for (uint64_t i = 0; i < values; ++i) scope.values.push_back(next_value_++);
    region->has_block = true;
    RETURN_IF_ERROR(ReadBlock(in, scope, region));
    if (scope.next != scope.end) return in.Error("fewer values than the region announced");
    scope.values.resize(visible);
    scope.next = outer.next;
    scope.end = outer.end;
    return OkStatus();
  }

  const stablehlo::Limits& limits_;
  Container& file_;
  uint64_t ops_ = 0;
  uint64_t size_ = 0;       // of the section
  uint64_t announced_ = 0;  // values of open regions that are not defined yet; at most size_
  uint32_t depth_ = 0;
  uint32_t next_value_ = 0;
};

}  // namespace

Status ReadRawOps(Cursor in, const stablehlo::Limits& limits, Container* file) {
  return OpReader(limits, file).Run(in);
}

}  // namespace megalith::stablehlo::artifact
