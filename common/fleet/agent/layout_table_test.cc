#include "common/fleet/agent/layout_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

void Put(discovery::Tree* tree, const std::string& path, const std::string& data) {
  discovery::ZkNode node;
  node.data = data;
  tree->nodes[path] = std::make_shared<const discovery::ZkNode>(std::move(node));
}

TEST(ReadLayoutTest, DeclaredSubGraphsAreListedAndOthersAreTold) {
  discovery::Tree layout;
  discovery::Tree saved;
  std::vector<std::string> damaged;
  for (const char* name : {"m:entry", "m:ps_0", "m:ps_0:x", "m:ps_1", "m:ps_2", "none", "m:"}) {
    Put(&layout, name, "");
  }
  Put(&saved, "m", "");
  Put(&saved, "m/entry", R"({"model_base_path": "/e", "version_policy": "latest"})");
  Put(&saved, "m/ps_0", R"({"model_base_path": "/p", "version_policy": "latest_once"})");
  Put(&saved, "m/ps_1", "no json");
  const auto models = ReadLayout(
      layout, saved, [&](const std::string& path, const Status&) { damaged.push_back(path); });
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].Name(), "m:entry");
  EXPECT_EQ(models[1].deploy.version_policy, "latest_once");
  EXPECT_THAT(damaged, ElementsAre("m:", "m:ps_1", "m:ps_2", "none"));
}

TEST(BoundAddressesTest, ContainersAreFoundByTheirName) {
  discovery::Tree bindings;
  discovery::Tree containers;
  std::vector<std::string> damaged;
  Put(&containers, "p;lf;d:a", R"({"grpc": "a:1", "archon": "a:2"})");
  Put(&containers, "p;lf;d:fe80::1", R"({"grpc": "b:1", "archon": "b:2"})");
  Put(&containers, "p;lf;d:null", R"({"grpc": null})");
  Put(&containers, "p;lf;d:bad", "{");
  Put(&bindings, "m", "");
  Put(&bindings, "m/ps_0:p;lf;d:a", "");
  Put(&bindings, "m/ps_0:p;lf;d:fe80::1", "");
  Put(&bindings, "m/ps_1:p;lf;d:gone", "");
  Put(&bindings, "m/ps_1:p;lf;d:null", "");
  Put(&bindings, "m/bad", "");
  Put(&bindings, "other", "");
  Put(&bindings, "other/ps_0:p;lf;d:a", "");
  const auto on_damaged = [&](const std::string& path, const Status&) { damaged.push_back(path); };
  EXPECT_THAT(BoundAddresses({"m"}, bindings, containers, true, on_damaged),
              ElementsAre(Pair("m:ps_0", ElementsAre("a:1", "b:1"))));
  EXPECT_THAT(damaged, ElementsAre("p;lf;d:bad", "m/bad"));
  EXPECT_THAT(BoundAddresses({"other"}, bindings, containers, false, on_damaged),
              ElementsAre(Pair("other:ps_0", ElementsAre("a:2"))));
  EXPECT_THAT(BoundAddresses({}, bindings, containers, true, on_damaged), IsEmpty());
}

}  // namespace
}  // namespace megalith::agent
