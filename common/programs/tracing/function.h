// Functions over traced arrays as values: any C++ callable becomes one, transforms take and give
// them.
#pragma once

#include <array>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "common/foundation/base/status.h"
#include "common/programs/ir/builder.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/tracing/array.h"

namespace megalith::tracing {

namespace internal {
// Records an error of the running trace, if there is one.
void Fail(Status status, Place where);
}  // namespace internal

// What a function gave: a list of arrays that turns into whatever the caller wants.
class Outputs {
 public:
  explicit Outputs(Arrays arrays, Place where = Place::current())
      : arrays_(std::move(arrays)), where_(where) {}
  size_t size() const { return arrays_.size(); }
  // Result i; an array without value beyond the last.
  Array operator[](size_t i) const { return i < arrays_.size() ? arrays_[i] : Array(); }
  const Arrays& arrays() const { return arrays_; }
  // The only result. TypeError (in the trace) if there are more or none.
  operator Array() const { return Only(); }    // NOLINT: implicit by design
  operator Arrays() const { return arrays_; }  // NOLINT: implicit by design
  // A tuple, pair or array of as many arrays; TypeError (in the trace) if the numbers differ.
  template <typename T>
    requires(!std::is_same_v<T, Array> && !std::is_same_v<T, Arrays> &&
             requires { std::tuple_size<T>::value; })
  operator T() const;  // NOLINT: implicit by design

 private:
  Array Only() const;
  Arrays arrays_;
  Place where_;
};

// ---- how C++ types hold arrays ----

// Arguments and results: Array, numbers (results), pairs, tuples and std::arrays of such, Arrays
// and Outputs (results, or the only parameter).
template <typename T>
struct Tree;

template <>
struct Tree<Array> {
  static constexpr size_t kLeaves = 1;
  static void Flatten(const Array& a, Arrays* out) { out->push_back(a); }
  static Array Build(std::span<const Array> leaves) { return leaves[0]; }
};
template <HostNumber T>
struct Tree<T> {
  static constexpr size_t kLeaves = 1;
  static void Flatten(T v, Arrays* out) { out->push_back(Array(v)); }
};
template <>
struct Tree<Arrays> {
  static void Flatten(const Arrays& a, Arrays* out) { out->insert(out->end(), a.begin(), a.end()); }
};
template <>
struct Tree<Outputs> {
  static void Flatten(const Outputs& a, Arrays* out) { Tree<Arrays>::Flatten(a.arrays(), out); }
};

namespace internal {
// Tuples of any kind.
template <typename T, typename Indices = std::make_index_sequence<std::tuple_size_v<T>>>
struct TupleTree;
template <typename T, size_t... I>
struct TupleTree<T, std::index_sequence<I...>> {
  static void Flatten(const T& t, Arrays* out) {
    (Tree<std::remove_cvref_t<std::tuple_element_t<I, T>>>::Flatten(std::get<I>(t), out), ...);
  }
  static constexpr size_t Leaves() {
    return (size_t{0} + ... + Tree<std::tuple_element_t<I, T>>::kLeaves);
  }
  static T Build([[maybe_unused]] std::span<const Array> leaves) {
    [[maybe_unused]] size_t at = 0;
    // Braces evaluate from left to right.
    return T{Next<std::tuple_element_t<I, T>>(leaves, &at)...};
  }

 private:
  template <typename E>
  static E Next(std::span<const Array> leaves, size_t* at) {
    const std::span<const Array> mine = leaves.subspan(*at, Tree<E>::kLeaves);
    *at += Tree<E>::kLeaves;
    return Tree<E>::Build(mine);
  }
};
}  // namespace internal

template <typename T>
  requires requires { std::tuple_size<T>::value; }
struct Tree<T> : internal::TupleTree<T> {
  static constexpr size_t kLeaves = internal::TupleTree<T>::Leaves();
};

template <typename T>
  requires(!std::is_same_v<T, Array> && !std::is_same_v<T, Arrays> &&
           requires { std::tuple_size<T>::value; })
Outputs::operator T() const {
  if (arrays_.size() == Tree<T>::kLeaves) return Tree<T>::Build(arrays_);
  Only();  // records the error
  return Tree<T>::Build(Arrays(Tree<T>::kLeaves));
}

// ---- functions ----

namespace internal {
template <typename F>
struct Signature : Signature<decltype(&F::operator())> {};
template <typename R, typename... A>
struct Signature<R (*)(A...)> {
  using Params = std::tuple<std::remove_cvref_t<A>...>;
};
template <typename R, typename C, typename... A>
struct Signature<R (C::*)(A...) const> : Signature<R (*)(A...)> {};
template <typename R, typename C, typename... A>
struct Signature<R (C::*)(A...)> : Signature<R (*)(A...)> {};

struct FunctionImpl {
  std::string name;
  // How many arrays each parameter holds; absent: any number of arguments, an array each.
  std::optional<std::vector<size_t>> params;
  std::function<Arrays(std::span<const Array>)> call;
  // What makes two functions the same one: jit traces a function once.
  std::shared_ptr<const void> identity;
};
}  // namespace internal

// Function pointers, lambdas without `auto` parameters, std::functions.
template <typename F>
concept Callable = std::is_function_v<std::remove_pointer_t<std::decay_t<F>>> ||
                   requires { &std::decay_t<F>::operator(); };

// A function that can be traced and transformed. Made from any callable with parameters as
// described at Tree; its name is what jit equations print. Copies share the callable. Requires that
// whatever a lambda holds by reference lives as long as the function may be called.
class Function {
 public:
  template <Callable F>
    requires(!std::same_as<std::decay_t<F>, Function>)
  Function(F f) : Function("<lambda>", std::move(f)) {}  // NOLINT: implicit by design
  template <Callable F>
  Function(std::string name, F f) : impl_(Make(std::move(name), std::move(f))) {}
  explicit Function(internal::FunctionImpl impl);

  // Calls it inside the running trace, with arrays, numbers, tuples of them or Outputs of another
  // function.
  template <typename... T>
  Outputs operator()(const T&... args) const {
    Arrays flat;
    (Tree<T>::Flatten(args, &flat), ...);
    return Call(flat);
  }
  Outputs Call(std::span<const Array> args) const;

  const std::string& name() const { return impl_->name; }
  // The same function under another name.
  Function Named(std::string name) const;
  const std::optional<std::vector<size_t>>& params() const { return impl_->params; }
  const std::shared_ptr<const void>& identity() const { return impl_->identity; }

 private:
  template <typename F>
  static std::shared_ptr<const internal::FunctionImpl> Make(std::string name, F f);
  static Arrays WrongCount(size_t want, size_t got);
  std::shared_ptr<const internal::FunctionImpl> impl_;
};

// The same function under a name, which jit equations print.
template <Callable F>
Function Named(std::string name, F f) {
  return Function(std::move(name), std::move(f));
}
inline Function Named(std::string name, const Function& f) { return f.Named(std::move(name)); }
// Calls `f` as a named part of the program: errors inside it say so. As in JAX the name does not
// show in text.
Function NamedCall(std::string name, Function f);

// ---- tracing ----

struct TraceOptions {
  bool x64 = false;  // numbers and index types have 64 bits
  ir::SessionLimits limits;
  const Cancellation* cancel = nullptr;
};

// The program of `f` for arguments of the given types, as jax.make_jaxpr gives it: one input per
// array. Errors: the first one that the function met, with JAX's class and words, after the place
// in the user's source that called the failing operation ("model.cc:12: ..."); kResourceExhausted,
// kCancelled by the options.
Result<ir::Program> MakeJaxpr(const Function& f, const std::vector<Aval>& args,
                              const TraceOptions& options = {});

// ---- implementation of templates ----

template <typename F>
std::shared_ptr<const internal::FunctionImpl> Function::Make(std::string name, F f) {
  using Params = typename internal::Signature<std::decay_t<F>>::Params;
  auto impl = std::make_shared<internal::FunctionImpl>();
  impl->name = std::move(name);
  if constexpr (std::is_pointer_v<std::decay_t<F>>) {
    impl->identity =
        std::shared_ptr<const void>(std::shared_ptr<void>(), reinterpret_cast<const void*>(f));
  } else {
    impl->identity = std::make_shared<char>();
  }
  if constexpr (std::is_same_v<Params, std::tuple<Arrays>>) {
    impl->call = [f](std::span<const Array> args) {
      Arrays out;
      auto result = f(Arrays(args.begin(), args.end()));
      Tree<std::remove_cvref_t<decltype(result)>>::Flatten(result, &out);
      return out;
    };
  } else {
    impl->params = []<size_t... I>(std::index_sequence<I...>) {
      return std::vector<size_t>{Tree<std::tuple_element_t<I, Params>>::kLeaves...};
    }(std::make_index_sequence<std::tuple_size_v<Params>>());
    impl->call = [f](std::span<const Array> args) {
      if (args.size() != Tree<Params>::kLeaves)
        return WrongCount(Tree<Params>::kLeaves, args.size());
      Arrays out;
      auto result = std::apply(f, Tree<Params>::Build(args));
      Tree<std::remove_cvref_t<decltype(result)>>::Flatten(result, &out);
      return out;
    };
  }
  return impl;
}

}  // namespace megalith::tracing
