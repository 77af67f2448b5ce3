// What the socket promises when things go wrong, on a real kernel.
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <catch2/catch.hpp>

#include <algorithm>

#include "netlink/links.hpp"
#include "netlink/socket.hpp"

using namespace ipvsd;
using namespace ipvsd::nl;

namespace {

// Requests that all fail: addresses of a link that does not exist are removed.
void add_failing(Batch& batch, int count) {
  for (int i = 0; i < count; ++i) {
    ifaddrmsg header{};
    header.ifa_family = AF_INET;
    header.ifa_prefixlen = 32;
    header.ifa_index = 999'999;
    batch.begin(RTM_DELADDR, 0, header);
    const std::array<std::uint8_t, 4> address{10, 0, 0, 1};
    batch.attribute(IFA_LOCAL, address);
  }
}

}  // namespace

TEST_CASE("every failing message of a batch is answered and traced") {
  auto socket = Socket::open(NETLINK_ROUTE, "test");
  REQUIRE(socket);
  Batch batch(socket->next_sequence());
  add_failing(batch, 1500);
  const auto failures = socket->transact(batch);
  REQUIRE(failures.size() == 1500);
  for (std::size_t i = 0; i < failures.size(); ++i) {
    CHECK(failures[i].index == i);
    CHECK(failures[i].error.code == Errc::not_found);
  }
}

TEST_CASE("answers that the kernel dropped make outcomes unknown, not successes, and the socket goes on") {
  auto socket = Socket::open(NETLINK_ROUTE, "test");
  REQUIRE(socket);
  const int small = 4096;
  REQUIRE(::setsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
  Batch batch(socket->next_sequence());
  add_failing(batch, 1500);
  const auto failures = socket->transact(batch);
  REQUIRE(failures.size() == 1500);
  const auto unknown = std::count_if(failures.begin(), failures.end(),
                                     [](const Failure& failure) { return failure.error.code == Errc::overrun; });
  CHECK(unknown > 1000);
  for (std::size_t i = 0; i < failures.size(); ++i) CHECK(failures[i].index == i);

  // What still lies in the buffer belongs to the old batch and is not mistaken for the new one's.
  Batch next(socket->next_sequence());
  add_failing(next, 2);
  const auto again = socket->transact(next);
  REQUIRE(again.size() == 2);
  CHECK(again[0].error.code == Errc::not_found);
}

TEST_CASE("a dump that is larger than one datagram arrives whole") {
  auto links = Links::open();
  REQUIRE(links);
  REQUIRE(links->create_dummy("many"));
  std::vector<Operation> operations;
  for (std::uint8_t i = 0; i < 8; ++i)
    for (std::uint8_t j = 0; j < 250; ++j) {
      const std::array<std::uint8_t, 4> bytes{10, 77, i, j};
      operations.push_back({Verb::add, BoundAddress{*IpAddress::from_bytes(Family::ipv4, bytes)}});
    }
  REQUIRE(links->execute("many", operations).empty());
  const auto addresses = links->addresses();
  REQUIRE(addresses);
  CHECK(std::count_if(addresses->begin(), addresses->end(), [](const auto& a) { return a.link == "many"; }) == 2000);
  REQUIRE(links->remove_dummy("many"));
  REQUIRE(links->remove_dummy("many"));  // not there is removed
}

TEST_CASE("a link of another kind is neither used nor removed") {
  auto links = Links::open();
  REQUIRE(links);
  const auto created = links->create_dummy("lo");
  REQUIRE_FALSE(created);
  CHECK(created.error().code == Errc::already_exists);
  const auto removed = links->remove_dummy("lo");
  REQUIRE_FALSE(removed);
  CHECK(removed.error().code == Errc::denied);
}
