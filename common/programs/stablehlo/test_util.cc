#include "common/programs/stablehlo/test_util.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"

namespace megalith::stablehlo {
namespace {

using nlohmann::json;

double Number(const json& v) {
  if (v.is_boolean()) return v.get<bool>() ? 1 : 0;
  if (v.is_number()) return v.get<double>();
  const std::string s = v.get<std::string>();
  if (s == "inf") return std::numeric_limits<double>::infinity();
  if (s == "-inf") return -std::numeric_limits<double>::infinity();
  return std::numeric_limits<double>::quiet_NaN();
}

void Store(const json& v, Tensor* t, int64_t* next) {
  const bool complex = tensor::IsComplex(t->dtype());
  const bool is_pair = v.is_array() && v.size() == 2 && !v[0].is_array();
  if (complex && is_pair && *next < t->size()) {
    t->SetComplex((*next)++, {Number(v[0]), Number(v[1])});
  } else if (v.is_array()) {
    for (const json& inner : v) Store(inner, t, next);
  } else if (tensor::IsInteger(t->dtype()) && v.is_number_integer()) {
    t->SetInt((*next)++,
              v.is_number_unsigned() ? static_cast<int64_t>(v.get<uint64_t>()) : v.get<int64_t>());
  } else {
    t->SetDouble((*next)++, Number(v));
  }
}

Tensor ToTensor(const json& v) {
  const auto dtype = tensor::DTypeFromNumpyName(v.at("dtype").get<std::string>());
  CHECK(dtype.has_value());
  Shape shape;
  for (const json& d : v.at("shape")) shape.push_back(d.get<int64_t>());
  Tensor t = *Tensor::Create(*dtype, shape);
  int64_t next = 0;
  Store(v.at("data"), &t, &next);
  CHECK(next == t.size());
  return t;
}

bool Close(double got, double want, double rtol, double slack) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got);
  if (std::isinf(want) || std::isinf(got)) return got == want;
  if (want == 0 && got == 0) return std::signbit(want) == std::signbit(got);
  return std::fabs(got - want) <= slack + rtol * std::fabs(want);
}

}  // namespace

std::string ReadFileOrFail(const std::string& path) {
  auto text = RealFileSystem().Read(path);
  EXPECT_TRUE(text.ok()) << text.status().ToString();
  return text.ok() ? *text : "";
}

NumericCase ParseNumericCase(const std::string& text) {
  const json v = json::parse(text);
  NumericCase c;
  for (const json& t : v.at("inputs")) c.inputs.push_back(ToTensor(t));
  for (const json& t : v.at("outputs")) c.outputs.push_back(ToTensor(t));
  c.rtol = v.value("rtol", 0.0);
  c.atol = v.value("atol", 0.0);
  return c;
}

namespace {

double CaseNumber(std::string_view s) {
  if (s == "-nan") return -std::numeric_limits<double>::quiet_NaN();
  if (s == "nan" || s == "inf" || s == "-inf") return Number(json(std::string(s)));
  const auto v = ParseDouble(s);
  CHECK(v.has_value());
  return *v;
}

// "f32[2,3]" and the values that follow.
Tensor CaseTensor(std::string_view type, std::string_view values) {
  const size_t bracket = type.find('[');
  const auto dtype = tensor::DTypeFromName(type.substr(0, bracket));
  CHECK(dtype.has_value());
  Shape shape;
  for (const std::string_view d : Split(type.substr(bracket + 1, type.size() - bracket - 2), ',')) {
    if (!d.empty()) shape.push_back(*ParseInt(d));
  }
  Tensor t = *Tensor::Create(*dtype, shape);
  int64_t next = 0;
  for (const std::string_view word : Split(Trim(values), ' ')) {
    if (word.empty()) continue;
    CHECK(next < t.size());
    const size_t comma = word.find(',');
    if (comma != std::string_view::npos) {
      t.SetComplex(next++, {CaseNumber(word.substr(0, comma)), CaseNumber(word.substr(comma + 1))});
    } else if (tensor::IsInexact(*dtype)) {
      t.SetDouble(next++, CaseNumber(word));
    } else {
      const auto u = ParseUint(word);
      t.SetInt(next++, u ? static_cast<int64_t>(*u) : *ParseInt(word));
    }
  }
  CHECK(next == t.size());
  return t;
}

}  // namespace

std::vector<CaseFileEntry> ReadCaseFile(const std::string& path) {
  const std::string text = ReadFileOrFail(path);
  std::vector<CaseFileEntry> cases;
  std::string_view rest = text;
  size_t at = rest.find("== ");
  while (at != std::string_view::npos) {
    rest.remove_prefix(at);
    const size_t end = rest.find("\n== ");
    std::string_view entry = rest.substr(3, end == std::string_view::npos ? end : end - 2);
    CaseFileEntry c;
    c.name = entry.substr(0, entry.find('\n'));
    while ((at = entry.find("\n-- ")) != std::string_view::npos) {
      entry.remove_prefix(at + 4);
      const size_t line = entry.find('\n');
      const std::vector<std::string_view> words = Split(entry.substr(0, line), ' ');
      const size_t next = entry.find("\n-- ", line);
      const std::string_view body =
          entry.substr(line + 1, next == std::string_view::npos ? next : next - line);
      if (words[0] == "tolerance") {
        c.numbers.rtol = CaseNumber(words[1]);
        c.numbers.atol = CaseNumber(words[2]);
      } else if (words[0] == "program") {
        c.program = body;
      } else {
        (words[0] == "input" ? c.numbers.inputs : c.numbers.outputs)
            .push_back(CaseTensor(words[1], body));
      }
    }
    cases.push_back(std::move(c));
    at = end == std::string_view::npos ? end : end + 1;
  }
  return cases;
}

std::string Difference(const Tensor& got, const Tensor& want, double rtol, double atol) {
  if (got.dtype() != want.dtype() || !(got.shape() == want.shape())) {
    return StrCat("got ", got.TypeText(), ", wanted ", want.TypeText());
  }
  const bool inexact = tensor::IsInexact(want.dtype());
  double largest = 1;
  for (int64_t i = 0; inexact && i < want.size(); ++i) {
    const double magnitude = std::abs(want.ComplexAt(i));
    if (std::isfinite(magnitude)) largest = std::max(largest, magnitude);
  }
  for (int64_t i = 0; i < want.size(); ++i) {
    bool same = got.IntAt(i) == want.IntAt(i);
    if (inexact) {
      const auto g = got.ComplexAt(i);
      const auto w = want.ComplexAt(i);
      same = Close(g.real(), w.real(), rtol, atol * largest) &&
             Close(g.imag(), w.imag(), rtol, atol * largest);
      // A complex number is close if its distance is small against its magnitude.
      if (!same && tensor::IsComplex(want.dtype()) && std::isfinite(std::abs(w)) &&
          std::isfinite(std::abs(g))) {
        same = std::abs(g - w) <= atol * largest + rtol * std::abs(w);
      }
    }
    if (!same) {
      return StrCat("element ", i, " of ", want.TypeText(), ": got ", PythonFloat(got.DoubleAt(i)),
                    ", wanted ", PythonFloat(want.DoubleAt(i)), "\n  got  ", ValueText(got, 40),
                    "\n  want ", ValueText(want, 40));
    }
  }
  return "";
}

Tensor MakeTensor(DType dtype, const Shape& shape, const std::vector<double>& values) {
  Tensor t = *Tensor::Create(dtype, shape);
  CHECK(static_cast<int64_t>(values.size()) == t.size());
  for (size_t i = 0; i < values.size(); ++i) t.SetDouble(static_cast<int64_t>(i), values[i]);
  return t;
}

std::vector<std::string> NamesIn(const std::string& directory, const std::string& suffix) {
  std::vector<std::string> names;
  auto files = RealFileSystem().List(directory);
  EXPECT_TRUE(files.ok()) << files.status().ToString();
  if (!files.ok()) return names;
  for (const FileInfo& f : *files) {
    if (f.name.ends_with(suffix)) names.push_back(f.name.substr(0, f.name.size() - suffix.size()));
  }
  return names;
}

}  // namespace megalith::stablehlo
