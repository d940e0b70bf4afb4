// What a session answers to clients that are wrong, out of order, too large, or gone.
#include "services/execute/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "services/execute/testing/session_rig.h"

namespace megalith::services {
namespace {

using execute::v1::SessionRequest;
using execute::v1::SessionResponse;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kBudget = 1 << 16;

std::string Floats(std::initializer_list<float> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float));
}

class SessionTest : public ::testing::Test {
 protected:
  static SessionRequest Load(uint64_t program, const std::string& package = "twice") {
    SessionRequest r;
    r.mutable_load()->set_program(program);
    r.mutable_load()->set_package(package);
    return r;
  }
  static SessionRequest Piece(uint64_t buffer, const std::string& data, bool last) {
    SessionRequest r;
    r.set_id(buffer);
    r.mutable_put()->set_buffer(buffer);
    r.mutable_put()->set_data(data);
    r.mutable_put()->set_last(last);
    return r;
  }
  static SessionRequest First(uint64_t buffer, const std::string& dtype,
                              const std::vector<int64_t>& dims, const std::string& data,
                              bool last) {
    SessionRequest r = Piece(buffer, data, last);
    r.mutable_put()->mutable_type()->set_dtype(dtype);
    for (const int64_t d : dims) r.mutable_put()->mutable_type()->add_dims(d);
    return r;
  }
  static SessionRequest Pair(uint64_t buffer) {
    return First(buffer, "f32", {2}, Floats({1, 2}), true);
  }
  static SessionRequest Run(uint64_t program, const std::vector<uint64_t>& buffers,
                            const std::vector<uint64_t>& results, bool give = false) {
    SessionRequest r;
    r.set_id(900);
    r.mutable_run()->set_program(program);
    for (const uint64_t b : buffers) {
      auto* argument = r.mutable_run()->add_arguments();
      argument->set_buffer(b);
      argument->set_give(give);
    }
    for (const uint64_t b : results) r.mutable_run()->add_results(b);
    return r;
  }
  static SessionRequest Get(uint64_t buffer) {
    SessionRequest r;
    r.set_id(901);
    r.mutable_get()->set_buffer(buffer);
    return r;
  }
  static SessionRequest Free(const std::vector<uint64_t>& buffers,
                             const std::vector<uint64_t>& programs = {}) {
    SessionRequest r;
    for (const uint64_t b : buffers) r.mutable_free()->add_buffers(b);
    for (const uint64_t p : programs) r.mutable_free()->add_programs(p);
    return r;
  }

  // Sends requests, none of which may end the stream, and gives the answers to them.
  std::vector<SessionResponse> Send(const std::vector<SessionRequest>& requests) {
    const size_t before = rig_->stream().answers.size();
    for (const SessionRequest& r : requests) {
      const Status status = rig_->Handle(r);
      EXPECT_TRUE(status.ok()) << status.ToString();
    }
    const auto& all = rig_->stream().answers;
    return {all.begin() + static_cast<int64_t>(before), all.end()};
  }
  // The only answer's error.
  static std::pair<Code, std::string> Error(const std::vector<SessionResponse>& answers) {
    if (answers.size() != 1 || !answers[0].has_error()) {
      ADD_FAILURE() << answers.size() << " answers, expected one error";
      return {Code::kOk, ""};
    }
    return {static_cast<Code>(answers[0].error().code()), answers[0].error().detail().message()};
  }

  testing::SessionWorld world_{kBudget};
  std::unique_ptr<testing::SessionRig> rig_ = std::make_unique<testing::SessionRig>(&world_);
};

TEST_F(SessionTest, OpensRunsAndGives) {
  SessionRequest open;
  open.set_id(7);
  open.mutable_open();
  SessionRequest run = Run(1, {10}, {20, 21});
  run.mutable_run()->set_inline_bytes(100);
  const auto answers = Send({open, Load(1), Pair(10), run, Get(20)});
  ASSERT_THAT(answers, SizeIs(3));
  EXPECT_EQ(answers[0].id(), 7u);
  EXPECT_THAT(answers[0].opened().version(), HasSubstr("megalith"));
  ASSERT_EQ(answers[1].ran().results_size(), 2);
  EXPECT_EQ(answers[1].ran().results(0).data(), Floats({2, 4}));
  EXPECT_EQ(answers[2].chunk().data(), Floats({2, 4}));
  EXPECT_TRUE(answers[2].chunk().last());
}

// ---- malformed ----

TEST_F(SessionTest, RequestWithoutAnOperationEndsTheStream) {
  const Status status = rig_->Handle(SessionRequest());
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("names no operation"));
}

TEST_F(SessionTest, TypesThatAreNoneAreAnswered) {
  EXPECT_EQ(Error(Send({First(1, "q7", {2}, "", true)})).first, Code::kInvalidArgument);
  EXPECT_EQ(Error(Send({First(1, "f32", {-2}, "", true)})).first, Code::kInvalidArgument);
  EXPECT_NE(Error(Send({First(1, "f32", {INT64_MAX, INT64_MAX}, "", true)})).first, Code::kOk);
  EXPECT_EQ(world_.bytes_held(), 0);
}

TEST_F(SessionTest, TruthValuesOfOtherBytesAreAnswered) {
  EXPECT_THAT(Error(Send({First(1, "bool", {3}, std::string("\x01\x02\x00", 3), true)})).second,
              HasSubstr("neither 0 nor 1"));
}

TEST_F(SessionTest, UnusedBitsOfNarrowElementsMeanNothing) {
  const std::string four("\x0f\xf7\x88\x01", 4);
  Send({First(1, "i4", {4}, four, true), First(2, "u4", {4}, four, true)});
  EXPECT_EQ(Send({Get(1)})[0].chunk().data(), std::string("\xff\x07\xf8\x01", 4));
  EXPECT_EQ(Send({Get(2)})[0].chunk().data(), std::string("\x0f\x07\x08\x01", 4));
}

TEST_F(SessionTest, ArgumentOfNeitherKindIsAnswered) {
  SessionRequest run = Run(1, {}, {20, 21});
  run.mutable_run()->add_arguments();
  Send({Load(1)});
  EXPECT_THAT(Error(Send({run})).second, HasSubstr("argument 0 has neither"));
}

TEST_F(SessionTest, WrongArgumentsAreAnswered) {
  Send({Load(1), Pair(10), First(11, "f32", {3}, Floats({1, 2, 3}), true)});
  EXPECT_THAT(Error(Send({Run(1, {}, {20, 21})})).second, HasSubstr("takes 1 arguments, got 0"));
  EXPECT_THAT(Error(Send({Run(1, {11}, {20, 21})})).second,
              HasSubstr("expects f32[2], got f32[3]"));
  EXPECT_THAT(Error(Send({Run(1, {10}, {20})})).second, HasSubstr("2 results; 1 numbers"));
  EXPECT_THAT(world_.records, SizeIs(3));
}

// ---- unknown numbers ----

TEST_F(SessionTest, UnknownNumbersAreAnswered) {
  EXPECT_EQ(Error(Send({Get(5)})).first, Code::kNotFound);
  EXPECT_EQ(Error(Send({Pair(10), Run(5, {10}, {20, 21})})).first, Code::kNotFound);
  EXPECT_EQ(Error(Send({Load(1), Run(1, {99}, {20, 21})})).first, Code::kNotFound);
  EXPECT_THAT(Send({Free({1, 2, 3}, {4, 5})}), IsEmpty());
}

TEST_F(SessionTest, WhatDidNotLoadStandsInItsPlace) {
  EXPECT_EQ(Error(Send({Load(1, "damaged")})).first, Code::kDataLoss);
  EXPECT_EQ(Error(Send({Pair(10), Run(1, {10}, {20, 21})})).first, Code::kDataLoss);
  EXPECT_EQ(Error(Send({Get(21)})).first, Code::kDataLoss);
  Send({Load(1), Run(1, {10}, {20, 21})});
  EXPECT_EQ(Send({Get(21)})[0].chunk().data(), Floats({1, 2}));
}

// ---- out of order ----

TEST_F(SessionTest, PieceWithoutABeginningIsAnswered) {
  EXPECT_THAT(Error(Send({Piece(1, "abcd", true)})).second, HasSubstr("begin with a type"));
  Send({Pair(1)});
  EXPECT_THAT(Error(Send({Piece(1, "abcd", true)})).second, HasSubstr("not being sent"));
}

TEST_F(SessionTest, HalfABufferIsNoArgument) {
  Send({Load(1), First(10, "f32", {2}, Floats({1}), false)});
  EXPECT_EQ(Error(Send({Run(1, {10}, {20, 21})})).first, Code::kFailedPrecondition);
  EXPECT_EQ(Error(Send({Get(10)})).first, Code::kFailedPrecondition);
  Send({Piece(10, Floats({2}), true)});
  EXPECT_EQ(Send({Get(10)})[0].chunk().data(), Floats({1, 2}));
}

TEST_F(SessionTest, PiecesOfSeveralBuffersMayAlternate) {
  Send({First(1, "f32", {2}, Floats({1}), false), First(2, "f32", {2}, Floats({3}), false),
        Piece(1, Floats({2}), true), Piece(2, Floats({4}), true)});
  EXPECT_EQ(Send({Get(1)})[0].chunk().data(), Floats({1, 2}));
  EXPECT_EQ(Send({Get(2)})[0].chunk().data(), Floats({3, 4}));
}

TEST_F(SessionTest, BeginningAgainReplaces) {
  Send({First(1, "f32", {2}, Floats({1}), false), Pair(1)});
  EXPECT_EQ(Send({Get(1)})[0].chunk().data(), Floats({1, 2}));
  EXPECT_EQ(world_.bytes_held(), 8);
}

TEST_F(SessionTest, GivenBuffersAreGoneWhateverBecomesOfTheRun) {
  Send({Load(1), Pair(10), Pair(11)});
  Send({Run(1, {10}, {20, 21}, /*give=*/true)});
  EXPECT_EQ(Error(Send({Get(10)})).first, Code::kNotFound);
  Send({Run(5, {11}, {22, 23}, /*give=*/true)});
  EXPECT_EQ(Error(Send({Get(11)})).first, Code::kNotFound);
}

TEST_F(SessionTest, RequestsFreeBuffersOnTheirWay) {
  Send({Load(1), Pair(10), Pair(11)});
  SessionRequest run = Run(1, {10}, {20, 21});
  run.add_freed(11);
  run.add_freed(99);
  EXPECT_TRUE(Send({run})[0].has_ran());
  EXPECT_EQ(Error(Send({Get(11)})).first, Code::kNotFound);
  run.add_freed(10);
  EXPECT_EQ(Error(Send({run})).first, Code::kNotFound);
}

TEST_F(SessionTest, ResultMayTakeTheNumberOfItsArgument) {
  Send({Load(1), Pair(10), Run(1, {10}, {10, 11})});
  EXPECT_EQ(Send({Get(10)})[0].chunk().data(), Floats({2, 4}));
}

// ---- too much ----

TEST_F(SessionTest, MoreBytesThanTheTypeHasAreAnsweredOnce) {
  EXPECT_THAT(Error(Send({First(1, "f32", {2}, Floats({1, 2, 3}), false)})).second,
              HasSubstr("more bytes were sent"));
  EXPECT_THAT(Send({Piece(1, Floats({4}), false), Piece(1, Floats({5}), true)}), IsEmpty());
  EXPECT_THAT(Error(Send({Get(1)})).second, HasSubstr("more bytes were sent"));
  EXPECT_EQ(world_.bytes_held(), 0);
}

TEST_F(SessionTest, FewerBytesThanTheTypeHasAreAnswered) {
  EXPECT_THAT(Error(Send({First(1, "f32", {2}, Floats({1}), true)})).second,
              HasSubstr("of 8 bytes; 4 were sent"));
}

TEST_F(SessionTest, TensorAboveItsLimitIsAnswered) {
  const auto error = Error(Send({First(1, "f32", {1 << 20}, "", false)}));
  EXPECT_EQ(error.first, Code::kResourceExhausted);
  EXPECT_THAT(Send({Piece(1, "abcd", true)}), IsEmpty());
}

TEST_F(SessionTest, BudgetIsSharedAndGivenBack) {
  auto other = std::make_unique<testing::SessionRig>(&world_);
  const SessionRequest most = First(1, "f32", {12'000}, "", false);
  ASSERT_TRUE(other->Handle(most).ok());
  EXPECT_THAT(other->stream().answers, IsEmpty());
  EXPECT_EQ(Error(Send({most})).first, Code::kResourceExhausted);
  other.reset();
  EXPECT_EQ(world_.bytes_held(), 0);
  EXPECT_THAT(Send({most}), IsEmpty());
  Send({Free({1})});
  EXPECT_EQ(world_.bytes_held(), 0);
}

TEST_F(SessionTest, ResultsBeyondTheBudgetAreErrorsInTheirPlace) {
  Send({Load(1), First(9, "f32", {16'379}, "", false), Pair(10)});
  const auto answers = Send({Run(1, {10}, {20, 21})});
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_TRUE(answers[0].has_ran());
  EXPECT_EQ(Error(Send({Get(21)})).first, Code::kResourceExhausted);
  EXPECT_EQ(Send({Get(20)})[0].chunk().data(), Floats({2, 4}));
}

TEST_F(SessionTest, LongBuffersComeInChunks) {
  testing::SessionWorld large(8 << 20);
  large.max_tensor_bytes = 8 << 20;
  rig_ = std::make_unique<testing::SessionRig>(&large);
  const std::string data(5 << 19, 'x');
  Send({First(1, "u8", {static_cast<int64_t>(data.size())}, data, true)});
  const auto answers = Send({Get(1)});
  ASSERT_THAT(answers, SizeIs(3));
  std::string whole;
  for (const SessionResponse& a : answers) whole += a.chunk().data();
  EXPECT_EQ(whole, data);
  EXPECT_TRUE(answers[2].chunk().last());
  EXPECT_FALSE(answers[1].chunk().last());
  rig_.reset();
}

TEST_F(SessionTest, EmptyBufferIsOneEmptyChunk) {
  Send({First(1, "f32", {0, 3}, "", true)});
  const auto answers = Send({Get(1)});
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_TRUE(answers[0].chunk().last());
  EXPECT_EQ(answers[0].chunk().data(), "");
}

// ---- gone ----

TEST_F(SessionTest, ClientThatIsGoneEndsTheStreamInTheMiddleOfAnAnswer) {
  testing::SessionWorld large(8 << 20);
  large.max_tensor_bytes = 8 << 20;
  rig_ = std::make_unique<testing::SessionRig>(&large);
  Send({First(1, "u8", {3 << 20}, std::string(3 << 20, 'x'), true)});
  rig_->stream().fail_after = 1;
  EXPECT_EQ(rig_->Handle(Get(1)).code(), Code::kCancelled);
  EXPECT_THAT(rig_->stream().answers, SizeIs(1));
  rig_.reset();
  EXPECT_EQ(large.bytes_held(), 0);
}

TEST_F(SessionTest, CancelledCallEndsTheStreamInsteadOfAnsweringAnError) {
  Send({Load(1), Pair(10)});
  rig_->call().cancellation().Cancel();
  EXPECT_EQ(rig_->Handle(Run(1, {10}, {20, 21})).code(), Code::kCancelled);
  EXPECT_THAT(rig_->stream().answers, IsEmpty());
}

TEST_F(SessionTest, TwoClientsHaveNumbersOfTheirOwn) {
  testing::SessionRig other(&world_);
  Send({Load(1), Pair(10)});
  ASSERT_TRUE(other.Handle(Get(10)).ok());
  EXPECT_EQ(other.stream().answers[0].error().code(), static_cast<uint32_t>(Code::kNotFound));
  ASSERT_TRUE(other.Handle(Run(1, {}, {})).ok());
  EXPECT_EQ(other.stream().answers[1].error().code(), static_cast<uint32_t>(Code::kNotFound));
  ASSERT_TRUE(other.Handle(Free({10}, {1})).ok());
  EXPECT_THAT(Send({Run(1, {10}, {20, 21}), Get(20)}), SizeIs(2));
}

}  // namespace
}  // namespace megalith::services
