#include <gtest/gtest.h>

#include <atomic>
#include <limits>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/status.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"

namespace megalith {
namespace {

Result<int> Half(int v) {
  if (v % 2 != 0) return InvalidArgument(StrCat(v, " is odd"));
  return v / 2;
}

Result<int> Quarter(int v) {
  ASSIGN_OR_RETURN(const int half, Half(v).Annotate("first"));
  return Half(half).Annotate("second");
}

TEST(StatusTest, MacrosPassValuesAndAnnotateErrors) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(3).status().message(), "first: 3 is odd");
  EXPECT_EQ(Quarter(6).status().ToString(), "INVALID_ARGUMENT: second: 3 is odd");
  EXPECT_EQ(TypeError("x").Annotate("eqn 1").python_class(), "TypeError");
}

TEST(StringsTest, PythonFloatMatchesRepr) {
  EXPECT_EQ(PythonFloat(0.1), "0.1");
  EXPECT_EQ(PythonFloat(2.0), "2.0");
  EXPECT_EQ(PythonFloat(-0.0), "-0.0");
  EXPECT_EQ(PythonFloat(1e-5), "1e-05");
  EXPECT_EQ(PythonFloat(1e16), "1e+16");
  EXPECT_EQ(PythonFloat(123456789012345.0), "123456789012345.0");
  EXPECT_EQ(PythonFloat(1e15), "1000000000000000.0");
  EXPECT_EQ(PythonFloat(0.0001), "0.0001");
  EXPECT_EQ(PythonFloat(9.999999848243207e+30), "9.999999848243207e+30");
  EXPECT_EQ(PythonFloat(static_cast<double>(0.1f)), "0.10000000149011612");
  EXPECT_EQ(PythonFloat(5e-324), "5e-324");
  EXPECT_EQ(PythonFloat(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(PythonFloat(std::numeric_limits<double>::infinity()), "inf");
}

TEST(StringsTest, FindsInvalidUtf8) {
  EXPECT_EQ(FindInvalidUtf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), std::nullopt);
  EXPECT_EQ(FindInvalidUtf8("ab\xC0\x80"), 2u);         // overlong
  EXPECT_EQ(FindInvalidUtf8("\xED\xA0\x80"), 0u);       // surrogate
  EXPECT_EQ(FindInvalidUtf8("x\xF4\x90\x80\x80"), 1u);  // above U+10FFFF
  EXPECT_EQ(FindInvalidUtf8("abc\xE2\x82"), 3u);        // truncated
}

TEST(StringsTest, Base64RoundTripsAndRejectsGarbage) {
  for (const std::string text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
    EXPECT_EQ(AsText(*Base64Decode(Base64Encode(AsBytes(text)))), text);
  }
  EXPECT_EQ(Base64Encode(AsBytes("foobar")), "Zm9vYmFy");
  EXPECT_FALSE(Base64Decode("Zm9").has_value());
  EXPECT_FALSE(Base64Decode("Zm=v").has_value());
  EXPECT_FALSE(Base64Decode("Zm9*").has_value());
}

// RFC 4231, cases 1, 2 and 6.
TEST(HmacTest, KnownAnswers) {
  EXPECT_EQ(HmacSha256(std::string(20, '\x0b'), {"Hi There"}).Hex(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(HmacSha256("Jefe", {"what do ya ", "", "want for nothing?"}).Hex(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(HmacSha256(std::string(131, '\xaa'),
                       {"Test Using Larger Than Block-Size Key - Hash Key First"})
                .Hex(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacTest, DigestsAreComparedWhole) {
  const Sha256Digest a = Sha256::Of("a");
  EXPECT_TRUE(EqualInConstantTime(a, a));
  for (size_t i = 0; i < a.bytes.size(); ++i) {
    Sha256Digest b = a;
    b.bytes[i] ^= 0x80;
    EXPECT_FALSE(EqualInConstantTime(a, b)) << i;
  }
}

TEST(Sha256Test, KnownAnswers) {
  EXPECT_EQ(Sha256::Of("").Hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256::Of("abc").Hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 hash;
  for (int i = 0; i < 1000000; ++i) hash.Update("a");
  EXPECT_EQ(hash.Finish().Hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(BytesTest, ReaderRefusesTruncatedInput) {
  ByteWriter w;
  w.U32(7);
  w.Sized("hello");
  ByteReader whole(w.data());
  EXPECT_EQ(*whole.U32(), 7u);
  EXPECT_EQ(*whole.Sized(), "hello");
  for (size_t cut = 0; cut < w.data().size(); ++cut) {
    ByteReader r(std::string_view(w.data()).substr(0, cut));
    const auto number = r.U32();
    const auto text = number.ok() ? r.Sized() : Result<std::string_view>(number.status());
    EXPECT_EQ(text.status().code(), Code::kDataLoss) << cut;
  }
}

TEST(FileSystemTest, WritesAtomicallyAndLists) {
  TempDirectory dir;
  FileSystem& files = RealFileSystem();
  const std::string path = JoinPath(dir.path(), "a/b.bin");
  EXPECT_EQ(files.WriteAtomically(path, "x").code(), Code::kNotFound);
  ASSERT_TRUE(files.MakeDirectory(JoinPath(dir.path(), "a")).ok());
  ASSERT_TRUE(files.WriteAtomically(path, "one").ok());
  ASSERT_TRUE(files.WriteAtomically(path, "two").ok());
  EXPECT_EQ(*files.Read(path), "two");
  EXPECT_EQ(files.Read(path, 2).status().code(), Code::kResourceExhausted);
  const auto listed = files.List(JoinPath(dir.path(), "a"));
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().name, "b.bin");
  EXPECT_EQ(files.Read(JoinPath(dir.path(), "none")).status().code(), Code::kNotFound);
}

TEST(ThreadPoolTest, RunsWhatItAcceptsAndBoundsTheQueue) {
  std::atomic<int> done{0};
  std::mutex gate;
  gate.lock();
  int accepted = 0;
  {
    ThreadPool pool("t", 1, 4);
    for (int i = 0; i < 10; ++i) {
      const Status s = pool.Submit([&] {
        const std::lock_guard<std::mutex> wait(gate);
        ++done;
      });
      if (s.ok()) {
        ++accepted;
      } else {
        EXPECT_EQ(s.code(), Code::kResourceExhausted);
      }
    }
    EXPECT_GE(accepted, 4);
    EXPECT_LE(accepted, 5);
    gate.unlock();
  }
  EXPECT_EQ(done.load(), accepted);
}

TEST(RngTest, RepeatsAndStaysInRange) {
  Rng a(7), b(7);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(a.Below(10), b.Below(10));
    EXPECT_LT(a.Below(3), 3u);
    b.Below(3);
  }
}

TEST(CancellationTest, ReportsDeadlineAndCancel) {
  Cancellation past(RealClock().Monotonic());
  EXPECT_EQ(past.Check().code(), Code::kDeadlineExceeded);
  Cancellation open;
  EXPECT_TRUE(open.Check().ok());
  open.Cancel();
  EXPECT_EQ(open.Check().code(), Code::kCancelled);
}

}  // namespace
}  // namespace megalith
