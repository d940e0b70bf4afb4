#include "common/machines/runtime/package.h"

#include <bit>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"

namespace megalith::runtime {
namespace {

constexpr size_t kDigestBytes = 32;

void AppendDigest(std::string_view bytes, ByteWriter* w) {
  const Sha256Digest digest = Sha256::Of(bytes);
  w->Raw(AsText(digest.bytes));
}

void AppendSpecs(const std::vector<TensorSpec>& specs, ByteWriter* w) {
  w->U64(specs.size());
  for (const TensorSpec& s : specs) {
    w->U8(static_cast<uint8_t>(s.dtype));
    w->U64(s.shape.size());
    for (const int64_t d : s.shape) w->I64(d);
  }
}

std::string EncodeHeader(const Package& p) {
  ByteWriter w;
  for (const std::string* s : {&p.backend, &p.backend_version, &p.target, &p.key}) w.Sized(*s);
  AppendSpecs(p.signature.inputs, &w);
  AppendSpecs(p.signature.outputs, &w);
  for (const double v : {p.cost.flops, p.cost.transcendentals, p.cost.bytes_accessed,
                         p.cost.peak_temporary_bytes, p.cost.constant_bytes}) {
    w.U64(std::bit_cast<uint64_t>(v));
  }
  w.U64(p.cost.operations);
  w.U64(p.sections.size());
  for (const Package::Section& s : p.sections) {
    w.Sized(s.name);
    w.U64(s.bytes.size());
    AppendDigest(s.bytes, &w);
  }
  return w.Take();
}

// A count of things of at least `least` bytes each.
Result<uint64_t> ReadCount(ByteReader* r, size_t least) {
  ASSIGN_OR_RETURN(const uint64_t n, r->U64());
  if (n > r->left() / least)
    return DataLoss(StrCat("count ", n, " at offset ", r->offset(), " is too large"));
  return n;
}

Result<std::string> ReadText(ByteReader* r) {
  ASSIGN_OR_RETURN(const std::string_view s, r->Sized());
  return std::string(s);
}

Status ReadSpecs(ByteReader* r, std::vector<TensorSpec>* out) {
  ASSIGN_OR_RETURN(const uint64_t n, ReadCount(r, 9));
  for (uint64_t i = 0; i < n; ++i) {
    TensorSpec s;
    ASSIGN_OR_RETURN(const uint8_t dtype, r->U8());
    if (dtype == 0 || dtype >= tensor::kNumDTypes)
      return DataLoss(StrCat("unknown element type ", int{dtype}));
    s.dtype = static_cast<DType>(dtype);
    ASSIGN_OR_RETURN(const uint64_t rank, ReadCount(r, 8));
    for (uint64_t d = 0; d < rank; ++d) {
      ASSIGN_OR_RETURN(const uint64_t size, r->U64());
      if (size > static_cast<uint64_t>(INT64_MAX)) return DataLoss("negative dimension");
      s.shape.push_back(static_cast<int64_t>(size));
    }
    out->push_back(std::move(s));
  }
  return OkStatus();
}

// A section's entry in the header.
struct Entry {
  std::string name;
  uint64_t size = 0;
  std::string digest;
};

Status ReadHeader(std::string_view header, Package* p, std::vector<Entry>* entries) {
  ByteReader r(header);
  for (std::string* s : {&p->backend, &p->backend_version, &p->target, &p->key}) {
    ASSIGN_OR_RETURN(*s, ReadText(&r));
  }
  RETURN_IF_ERROR(ReadSpecs(&r, &p->signature.inputs));
  RETURN_IF_ERROR(ReadSpecs(&r, &p->signature.outputs));
  for (double* v : {&p->cost.flops, &p->cost.transcendentals, &p->cost.bytes_accessed,
                    &p->cost.peak_temporary_bytes, &p->cost.constant_bytes}) {
    ASSIGN_OR_RETURN(const uint64_t bits, r.U64());
    *v = std::bit_cast<double>(bits);
  }
  ASSIGN_OR_RETURN(p->cost.operations, r.U64());
  ASSIGN_OR_RETURN(const uint64_t sections, ReadCount(&r, 16 + kDigestBytes));
  for (uint64_t i = 0; i < sections; ++i) {
    Entry e;
    ASSIGN_OR_RETURN(e.name, ReadText(&r));
    ASSIGN_OR_RETURN(e.size, r.U64());
    ASSIGN_OR_RETURN(const std::string_view digest, r.Raw(kDigestBytes));
    e.digest = digest;
    entries->push_back(std::move(e));
  }
  if (r.left() != 0) return DataLoss(StrCat(r.left(), " bytes too many"));
  return OkStatus();
}

bool HasDigest(std::string_view bytes, std::string_view digest) {
  return AsText(Sha256::Of(bytes).bytes) == digest;
}

}  // namespace

Result<std::string_view> Package::Find(std::string_view name) const {
  for (const Section& s : sections) {
    if (s.name == name) return std::string_view(s.bytes);
  }
  return DataLoss(StrCat("the package has no section '", name, "'"));
}

std::string EncodePackage(const Package& package) {
  const std::string header = EncodeHeader(package);
  ByteWriter w;
  w.Raw(kPackageMagic);
  w.U32(kPackageVersion);
  w.U32(static_cast<uint32_t>(header.size()));
  w.Raw(header);
  AppendDigest(w.data(), &w);
  for (const Package::Section& s : package.sections) w.Raw(s.bytes);
  return w.Take();
}

Result<Package> DecodePackage(std::string_view bytes) {
  ByteReader r(bytes);
  const auto magic = r.Raw(kPackageMagic.size());
  if (!magic.ok() || *magic != kPackageMagic)
    return DataLoss("not an executable package: wrong magic");
  ASSIGN_OR_RETURN(const uint32_t version, r.U32());
  if (version != kPackageVersion) {
    return FailedPrecondition(
        StrCat("package format version ", version, ", this build reads ", kPackageVersion));
  }
  ASSIGN_OR_RETURN(const uint32_t header_size, r.U32());
  const auto header = r.Raw(header_size);
  const size_t header_end = r.offset();
  const auto digest = r.Raw(kDigestBytes);
  if (!header.ok() || !digest.ok()) return DataLoss("section 'header' is truncated");
  if (!HasDigest(bytes.substr(0, header_end), *digest)) {
    return DataLoss("section 'header' is damaged: its checksum does not match");
  }
  Package p;
  std::vector<Entry> entries;
  RETURN_IF_ERROR(ReadHeader(*header, &p, &entries).Annotate("section 'header' is damaged"));
  for (Entry& e : entries) {
    const auto section = r.Raw(e.size);
    if (!section.ok()) return DataLoss(StrCat("section '", Printable(e.name), "' is truncated"));
    if (!HasDigest(*section, e.digest)) {
      return DataLoss(
          StrCat("section '", Printable(e.name), "' is damaged: its checksum does not match"));
    }
    p.sections.push_back({std::move(e.name), std::string(*section)});
  }
  if (r.left() != 0) return DataLoss(StrCat(r.left(), " bytes after the last section"));
  return p;
}

Status CheckMadeBy(const Package& package, const Backend& backend) {
  const auto check = [](std::string_view what, std::string_view found,
                        std::string_view wanted) -> Status {
    if (found == wanted) return OkStatus();
    return FailedPrecondition(StrCat("the package was made by ", what, " '", Printable(found),
                                     "', wanted '", wanted, "'"));
  };
  RETURN_IF_ERROR(check("backend", package.backend, backend.name()));
  RETURN_IF_ERROR(check("backend version", package.backend_version, backend.version()));
  return check("a compiler for target", package.target, backend.target());
}

}  // namespace megalith::runtime
