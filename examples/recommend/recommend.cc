// Learns what users like from their ratings and recommends: rows of two embedding tables on
// parameter servers, matrix factorization by gradient steps. Usage: recommend train|rank ADDRESS...
#include <cstdio>
#include <string>

#include "common/fleet/stubs/table_client.h"
#include "megalith/table/v1/table.pb.h"

using namespace megalith;
using embedding::Fid;

constexpr size_t kDim = 8;
constexpr Fid kUsers = 12, kItems = 9;  // user u likes items of the same remainder mod 3

float Liked(Fid user, Fid item) { return user % 3 == item % 3 ? 1.0F : 0.0F; }

Status Run(bool train, const std::vector<std::string>& addresses) {
  std::vector<stubs::TableShard> shards;
  for (const std::string& address : addresses) {
    ASSIGN_OR_RETURN(auto channel, rpc::Channel::Dial(address, {}, RealFileSystem()));
    shards.push_back({.primary = channel, .replica = nullptr});
  }
  ASSIGN_OR_RETURN(const auto client, stubs::ShardedTableClient::Make(std::move(shards), {}));
  const Cancellation patient;
  std::vector<Fid> users, items;
  for (Fid u = 0; u < kUsers; ++u) users.push_back(u);
  for (Fid i = 0; i < kItems; ++i) items.push_back(i);
  for (const char* name : {"user", "item"}) {
    table::v1::CreateTableRequest request;  // as it is, if the table is there
    request.set_name(name);
    table::v1::Segment* row = request.mutable_config()->add_segments();
    row->set_dim(kDim);
    row->mutable_initializer()->set_name("random_uniform");
    row->mutable_optimizer()->set_name("adagrad");
    (*row->mutable_optimizer()->mutable_fields())["learning_rate"] = 0.2;
    if (train) RETURN_IF_ERROR(client->CreateTable(request, patient));
  }
  std::vector<float> u(kUsers * kDim), v(kItems * kDim), score(kUsers * kItems);
  for (int step = 0; step < (train ? 200 : 1); ++step) {
    const embedding::RowsWanted wanted[] = {{"user", users, u}, {"item", items, v}};
    RETURN_IF_ERROR(client->Lookup(wanted, patient).status());
    std::vector<float> du(u.size()), dv(v.size());
    float loss = 0;
    for (size_t a = 0; a < users.size(); ++a) {
      for (size_t b = 0; b < items.size(); ++b) {
        float dot = 0;
        for (size_t k = 0; k < kDim; ++k) dot += u[a * kDim + k] * v[b * kDim + k];
        const float error = dot - Liked(users[a], items[b]);
        score[a * items.size() + b] = dot;
        loss += error * error / static_cast<float>(score.size());
        for (size_t k = 0; k < kDim; ++k) {
          du[a * kDim + k] += error * v[b * kDim + k];
          dv[b * kDim + k] += error * u[a * kDim + k];
        }
      }
    }
    if (step % 50 == 0 || !train) std::printf("loss %.4f\n", static_cast<double>(loss));
    const embedding::TableGradients gradients[] = {{"user", users, du, {}},
                                                   {"item", items, dv, {}}};
    if (train) RETURN_IF_ERROR(client->Apply(gradients, {.global_step = step}, patient).status());
  }
  for (size_t b = 0; b < items.size() && !train; ++b) {
    if (score[b] > 0.5F) std::printf("user 0 likes item %zu\n", b);
  }
  return OkStatus();
}

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 2) return 2;
  const Status status = Run(words[0] == "train", {words.begin() + 1, words.end()});
  if (!status.ok()) std::fprintf(stderr, "recommend: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
