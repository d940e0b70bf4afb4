// Kernels in packages. Numbers are little-endian; a list is its length (u32), then its items:
//   kernel     name (u64 length, bytes), buffers u32, locals (list of u64), outer (list of i64),
//              vector_outer u8, stages (list)
//   stage      dims (list of: extent i64, reduced u8), loads (list of access), instrs (list of:
//              op u8, type u8, in u32 * 3, imm u64), reductions (list of: kind u8, value u32,
//              init u64), stores (list of: access, value u32)
//   access     buffer u32, dtype u8, offset i64, strides (list of i64), terms (list of: buffer u32,
//              dtype u8, offset i64, strides, max i64, stride i64), guards (list of: dim u32,
//              begin i64, end i64), fill u64
// Persistent: never change.
#include "common/foundation/base/strings.h"
#include "common/machines/runtime/loop.h"

namespace megalith::runtime {
namespace {

class Writer {
 public:
  explicit Writer(ByteWriter* out) : out_(*out) {}

  void Kernel(const LoopKernel& k) {
    out_.Sized(k.name);
    out_.U32(k.buffers);
    Each(k.locals, [&](uint64_t v) { out_.U64(v); });
    Numbers(k.outer);
    out_.U8(k.vector_outer ? 1 : 0);
    Each(k.stages, [&](const LoopStage& s) { Stage(s); });
  }

 private:
  template <typename T, typename F>
  void Each(const std::vector<T>& list, F&& item) {
    out_.U32(static_cast<uint32_t>(list.size()));
    for (const T& value : list) item(value);
  }
  void Numbers(const std::vector<int64_t>& list) {
    Each(list, [&](int64_t v) { out_.I64(v); });
  }

  void Stage(const LoopStage& s) {
    Each(s.dims, [&](const LoopDim& d) {
      out_.I64(d.extent);
      out_.U8(d.reduced ? 1 : 0);
    });
    Each(s.loads, [&](const LoopAccess& a) { Access(a); });
    Each(s.instrs, [&](const LoopInstr& i) {
      out_.U8(static_cast<uint8_t>(i.op));
      out_.U8(static_cast<uint8_t>(i.type));
      for (const uint32_t in : i.in) out_.U32(in);
      out_.U64(i.imm);
    });
    Each(s.reductions, [&](const LoopReduction& r) {
      out_.U8(static_cast<uint8_t>(r.kind));
      out_.U32(r.value);
      out_.U64(r.init);
    });
    Each(s.stores, [&](const LoopStore& store) {
      Access(store.to);
      out_.U32(store.value);
    });
  }

  void Access(const LoopAccess& a) {
    out_.U32(a.buffer);
    out_.U8(static_cast<uint8_t>(a.dtype));
    out_.I64(a.offset);
    Numbers(a.strides);
    Each(a.terms, [&](const LoopIndexTerm& t) {
      out_.U32(t.buffer);
      out_.U8(static_cast<uint8_t>(t.dtype));
      out_.I64(t.offset);
      Numbers(t.strides);
      out_.I64(t.max);
      out_.I64(t.stride);
    });
    Each(a.guards, [&](const LoopGuard& g) {
      out_.U32(g.dim);
      out_.I64(g.begin);
      out_.I64(g.end);
    });
    out_.U64(a.fill);
  }

  ByteWriter& out_;
};

class Reader {
 public:
  explicit Reader(ByteReader* in) : in_(*in) {}

  Status Kernel(LoopKernel* k) {
    ASSIGN_OR_RETURN(const std::string_view name, in_.Sized());
    k->name = name;
    RETURN_IF_ERROR(Get(&k->buffers));
    RETURN_IF_ERROR(Each(&k->locals, 8, [&](uint64_t* v) { return Get(v); }));
    RETURN_IF_ERROR(Numbers(&k->outer));
    RETURN_IF_ERROR(Get(&k->vector_outer));
    return Each(&k->stages, 20, [&](LoopStage* s) { return Stage(s); });
  }

 private:
  // `least` is the fewest bytes an item can have: what is left bounds the length of a list.
  template <typename T, typename F>
  Status Each(std::vector<T>* list, size_t least, F&& item) {
    uint32_t size = 0;
    RETURN_IF_ERROR(Get(&size));
    if (size > in_.left() / least) {
      return DataLoss(StrCat("a list of ", size, " items in ", in_.left(), " bytes"));
    }
    list->resize(size);
    for (T& value : *list) RETURN_IF_ERROR(item(&value));
    return OkStatus();
  }
  Status Numbers(std::vector<int64_t>* list) {
    return Each(list, 8, [&](int64_t* v) { return Get(v); });
  }

  Status Get(uint32_t* v) {
    ASSIGN_OR_RETURN(*v, in_.U32());
    return OkStatus();
  }
  Status Get(uint64_t* v) {
    ASSIGN_OR_RETURN(*v, in_.U64());
    return OkStatus();
  }
  Status Get(int64_t* v) {
    ASSIGN_OR_RETURN(const uint64_t bits, in_.U64());
    *v = static_cast<int64_t>(bits);
    return OkStatus();
  }
  Status Get(bool* v) {
    ASSIGN_OR_RETURN(const uint8_t byte, in_.U8());
    if (byte > 1) return DataLoss(StrCat("a flag of ", static_cast<int>(byte)));
    *v = byte != 0;
    return OkStatus();
  }
  Status Get(DType* v) {
    ASSIGN_OR_RETURN(const uint8_t byte, in_.U8());
    if (byte >= tensor::kNumDTypes) return DataLoss(StrCat("dtype ", static_cast<int>(byte)));
    *v = static_cast<DType>(byte);
    return OkStatus();
  }
  Status Get(ScalarOp* v) {
    ASSIGN_OR_RETURN(const uint8_t byte, in_.U8());
    *v = static_cast<ScalarOp>(byte);
    return OkStatus();
  }
  Status Get(ReduceKind* v) {
    ASSIGN_OR_RETURN(const uint8_t byte, in_.U8());
    *v = static_cast<ReduceKind>(byte);
    return OkStatus();
  }
  // All of them, in order.
  template <typename A, typename B, typename... More>
  Status Get(A* a, B* b, More*... more) {
    RETURN_IF_ERROR(Get(a));
    return Get(b, more...);
  }

  Status Stage(LoopStage* s) {
    RETURN_IF_ERROR(Each(&s->dims, 9, [&](LoopDim* d) { return Get(&d->extent, &d->reduced); }));
    RETURN_IF_ERROR(Each(&s->loads, 33, [&](LoopAccess* a) { return Access(a); }));
    RETURN_IF_ERROR(Each(&s->instrs, 22, [&](LoopInstr* i) {
      return Get(&i->op, &i->type, &i->in[0], &i->in[1], &i->in[2], &i->imm);
    }));
    RETURN_IF_ERROR(Each(&s->reductions, 13,
                         [&](LoopReduction* r) { return Get(&r->kind, &r->value, &r->init); }));
    return Each(&s->stores, 37, [&](LoopStore* store) {
      RETURN_IF_ERROR(Access(&store->to));
      return Get(&store->value);
    });
  }

  Status Access(LoopAccess* a) {
    RETURN_IF_ERROR(Get(&a->buffer, &a->dtype, &a->offset));
    RETURN_IF_ERROR(Numbers(&a->strides));
    RETURN_IF_ERROR(Each(&a->terms, 33, [&](LoopIndexTerm* t) {
      RETURN_IF_ERROR(Get(&t->buffer, &t->dtype, &t->offset));
      RETURN_IF_ERROR(Numbers(&t->strides));
      return Get(&t->max, &t->stride);
    }));
    RETURN_IF_ERROR(
        Each(&a->guards, 20, [&](LoopGuard* g) { return Get(&g->dim, &g->begin, &g->end); }));
    return Get(&a->fill);
  }

  ByteReader& in_;
};

}  // namespace

void EncodeLoopKernel(const LoopKernel& kernel, ByteWriter* out) { Writer(out).Kernel(kernel); }

Result<LoopKernel> DecodeLoopKernel(ByteReader* in) {
  LoopKernel kernel;
  RETURN_IF_ERROR(Reader(in).Kernel(&kernel));
  return kernel;
}

}  // namespace megalith::runtime
