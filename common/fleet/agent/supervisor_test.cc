#include "common/fleet/agent/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

using std::chrono::milliseconds;
using testing::Eventually;
using ::testing::HasSubstr;

ProcessSpec Shell(const std::string& name, const std::string& script) {
  ProcessSpec spec;
  spec.name = name;
  spec.command = {"/bin/sh", "-c", script};
  return spec;
}

SupervisorOptions Quick() {
  SupervisorOptions options;
  options.first_delay = milliseconds(1);
  options.max_delay = milliseconds(4);
  options.grace = milliseconds(60'000);
  options.poll_interval = milliseconds(1);
  return options;
}

bool Alive(pid_t pid) { return ::kill(pid, 0) == 0; }

class SupervisorTest : public ::testing::Test {
 protected:
  std::string File(const std::string& name) { return JoinPath(directory_.path(), name); }
  std::string Text(const std::string& name) {
    const auto text = RealFileSystem().Read(File(name));
    return text.ok() ? *text : "";
  }
  // What a script has written as a whole line.
  pid_t PidIn(const std::string& name) {
    Eventually([&] { return Text(name).ends_with('\n'); });
    return static_cast<pid_t>(ParseInt(Trim(Text(name))).value_or(0));
  }
  TempDirectory directory_;
};

TEST_F(SupervisorTest, KilledProcessIsStartedAgain) {
  Supervisor supervisor({Shell("ps", "exec sleep 1000")}, Quick());
  Eventually([&] { return supervisor.states()[0].pid != 0; });
  const pid_t first = supervisor.states()[0].pid;
  EXPECT_EQ(::kill(first, SIGKILL), 0);
  Eventually([&] { return supervisor.states()[0].starts == 2 && supervisor.states()[0].pid != 0; });
  EXPECT_NE(supervisor.states()[0].pid, first);
  EXPECT_EQ(supervisor.states()[0].last_end, "signal 9");
}

TEST_F(SupervisorTest, CrashLoopBacksOffUpToALimit) {
  Supervisor supervisor({Shell("ps", "exit 3")}, Quick());
  Eventually([&] { return supervisor.states()[0].starts >= 5; });
  EXPECT_EQ(supervisor.states()[0].delay, milliseconds(4));
  EXPECT_EQ(supervisor.states()[0].last_end, "exit code 3");
  SupervisorOptions forgiving = Quick();
  forgiving.stable_after = milliseconds(0);
  Supervisor other({Shell("ps", "exit 3")}, forgiving);
  Eventually([&] { return other.states()[0].starts >= 5; });
  EXPECT_EQ(other.states()[0].delay, milliseconds(1));
}

TEST_F(SupervisorTest, BinaryThatIsMissingIsTriedAgain) {
  ProcessSpec spec;
  spec.name = "ps";
  spec.command = {File("server"), "--port=1"};
  Supervisor supervisor({spec}, Quick());
  Eventually([&] { return !supervisor.states()[0].last_end.empty(); });
  EXPECT_THAT(supervisor.states()[0].last_end, HasSubstr("No such file"));
  EXPECT_EQ(supervisor.states()[0].starts, 0u);
  const std::string script =
      StrCat("#!/bin/sh\necho $1 $$ > ", File("told"), "\nexec sleep 1000\n");
  ASSERT_TRUE(RealFileSystem().WriteAtomically(File("part"), script).ok());
  ASSERT_EQ(::chmod(File("part").c_str(), 0700), 0);
  ASSERT_TRUE(RealFileSystem().Rename(File("part"), File("server")).ok());
  Eventually([&] { return supervisor.states()[0].pid != 0; });
  Eventually([&] { return Text("told").ends_with('\n'); });
  EXPECT_THAT(Text("told"), HasSubstr("--port=1"));
}

TEST_F(SupervisorTest, StopEndsWhatProcessesHaveStarted) {
  const std::string script = StrCat("sleep 1000 & echo $! > ", File("pid"), "; wait");
  pid_t own = 0;
  pid_t grandchild = 0;
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  {
    Supervisor supervisor({Shell("ps", script)}, Quick());
    grandchild = PidIn("pid");
    Eventually([&] { return supervisor.states()[0].pid != 0; });
    own = supervisor.states()[0].pid;
    EXPECT_TRUE(Alive(own));
    supervisor.Stop();
    EXPECT_EQ(supervisor.states()[0].pid, 0);
  }
  EXPECT_FALSE(Alive(own));
  EXPECT_EQ(::waitpid(grandchild, nullptr, 0), grandchild);  // its new parent is this process
}

TEST_F(SupervisorTest, ProcessThatIgnoresTheSignalIsKilled) {
  SupervisorOptions options = Quick();
  options.grace = milliseconds(20);
  Supervisor supervisor(
      {Shell("ps", StrCat("trap '' TERM; echo $$ > ", File("pid"), "; while :; do sleep 1; done"))},
      options);
  const pid_t pid = PidIn("pid");
  supervisor.Stop();
  EXPECT_FALSE(Alive(pid));
  EXPECT_EQ(supervisor.states()[0].last_end, "signal 9");
}

TEST_F(SupervisorTest, DrainsInReverseOrderOneAfterTheOther) {
  const auto script = [&](const std::string& name) {
    return StrCat("trap 'echo ", name, " >> ", File("order"), "; exit 0' TERM; echo $$ > ",
                  File(name), "; while :; do sleep 0.01; done");
  };
  Supervisor supervisor({Shell("ps", script("ps")), Shell("entry", script("entry"))}, Quick());
  PidIn("ps");
  PidIn("entry");
  supervisor.Stop();
  EXPECT_EQ(Text("order"), "entry\nps\n");
}

TEST_F(SupervisorTest, ProcessWaitsForItsTurn) {
  std::atomic<bool> open{false};
  std::atomic<int> asked{0};
  ProcessSpec spec = Shell("entry", "exec sleep 1000");
  spec.may_start = [&] {
    ++asked;
    return open.load();
  };
  Supervisor supervisor({spec}, Quick());
  Eventually([&] { return asked >= 3; });
  EXPECT_EQ(supervisor.states()[0].starts, 0u);
  open = true;
  Eventually([&] { return supervisor.states()[0].starts == 1; });
  supervisor.Hold();
  EXPECT_EQ(::kill(supervisor.states()[0].pid, SIGKILL), 0);
  Eventually([&] { return supervisor.states()[0].pid == 0; });
  const int before = asked;
  EXPECT_EQ(supervisor.states()[0].starts, 1u);
  EXPECT_EQ(asked, before);
}

TEST_F(SupervisorTest, OutputAndEnvironmentAreItsOwn) {
  ASSERT_TRUE(RealFileSystem().WriteAtomically(File("log"), "before\n").ok());
  ProcessSpec spec = Shell("ps", "pwd; echo $PORT2 $HOME >&2; exec sleep 1000");
  spec.directory = directory_.path();
  spec.environment = {{"PORT2", "77"}, {"HOME", "/nowhere"}};
  spec.output = File("log");
  {
    Supervisor supervisor({spec}, Quick());
    Eventually([&] { return Text("log").ends_with("/nowhere\n"); });
  }
  EXPECT_EQ(Text("log"), StrCat("before\n", directory_.path(), "\n77 /nowhere\n"));
  spec.truncate_output = true;
  Supervisor supervisor({spec}, Quick());
  const std::string wanted = StrCat(directory_.path(), "\n77 /nowhere\n");
  Eventually([&] { return Text("log") == wanted; });
}

TEST_F(SupervisorTest, PortTellsThatItListens) {
  ProcessSpec closed = Shell("closed", "exec sleep 1000");
  closed.port = 1;  // nobody listens there
  SupervisorOptions options = Quick();
  options.start_limit = milliseconds(0);
  Supervisor supervisor({closed, Shell("none", "exec sleep 1000")}, options);
  Eventually([&] { return supervisor.states()[0].starts >= 3; });
  EXPECT_FALSE(supervisor.states()[0].listening);
  Eventually([&] { return supervisor.states()[1].listening; });
  testing::ZooKeeperServer server;  // any server does
  ProcessSpec open = Shell("open", "exec sleep 1000");
  open.port = static_cast<int>(*ParseInt(server.address().substr(server.address().rfind(':') + 1)));
  Supervisor other({open}, Quick());
  Eventually([&] { return other.states()[0].listening; });
}

// The kernel kills model servers whose agent is killed.
TEST_F(SupervisorTest, ProcessesDieWithAKilledSupervisor) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const pid_t agent = ::fork();
  ASSERT_GE(agent, 0);
  if (agent == 0) {
    Supervisor supervisor({Shell("ps", StrCat("echo $$ > ", File("pid"), "; exec sleep 1000"))},
                          Quick());
    while (true) ::pause();
  }
  const pid_t server = PidIn("pid");
  EXPECT_EQ(::kill(agent, SIGKILL), 0);
  EXPECT_EQ(::waitpid(agent, nullptr, 0), agent);
  int status = 0;
  EXPECT_EQ(::waitpid(server, &status, 0), server);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

}  // namespace
}  // namespace megalith::agent
