#include "reconcile/marks.hpp"

#include <catch2/catch.hpp>

#include <set>

#include "test/unit/objects.hpp"

using namespace ipvsd;
using namespace ipvsd::test;

namespace {

VirtualServerKey frontend(const std::string& address) {
  return {*IpAddress::parse(address), Protocol::tcp, Port{80}, 0};
}

OutsidePort outside(const std::string& name, const std::string& address = "203.0.113.1", Family family = Family::ipv4) {
  return {family, name, Protocol::tcp, {frontend(address)}};
}

bool nothing(Family, std::uint32_t) { return false; }

std::set<std::uint32_t> values(const std::vector<PortMark>& marks) {
  std::set<std::uint32_t> all;
  for (const auto& mark : marks) all.insert(mark.mark);
  return all;
}

}  // namespace

TEST_CASE("marks lie within the mask, one for each port, and are kept") {
  Marks marks(0x50);
  const ObjectKey a{"ns", "a"};
  const ObjectKey b{"ns", "b"};
  const auto first = marks.assign(a, {outside("http"), outside("https")}, nothing);
  CHECK(values(first) == std::set<std::uint32_t>{0x10, 0x40});
  CHECK(values(marks.assign(a, {outside("https"), outside("http")}, nothing)) == values(first));
  CHECK(values(marks.assign(b, {outside("http")}, nothing)) == std::set<std::uint32_t>{0x50});
  CHECK(marks.refused().empty());
  // There are three of them only; the other family has its own.
  CHECK(marks.assign({"ns", "c"}, {outside("http")}, nothing).empty());
  CHECK(marks.refused().at(ObjectKey{"ns", "c"}) == Marks::PerFamily{1, 0});
  CHECK(marks.take_newly_refused() == std::vector{ObjectKey{"ns", "c"}});
  CHECK(marks.assign({"ns", "c"}, {outside("http"), outside("https")}, nothing).empty());
  CHECK(marks.refused().at(ObjectKey{"ns", "c"}) == Marks::PerFamily{2, 0});
  CHECK(marks.take_newly_refused().empty());  // it was told
  CHECK(marks.assign({"ns", "d"}, {outside("http", "2001:db8::1", Family::ipv6)}, nothing).size() == 1);
  // What b no longer wants is c's.
  CHECK(marks.assign(b, {}, nothing).empty());
  CHECK(values(marks.assign({"ns", "c"}, {outside("http")}, nothing)) == std::set<std::uint32_t>{0x50});
  CHECK(marks.refused().empty());
  marks.release(a);
  CHECK(marks.assign(b, {outside("x"), outside("y")}, nothing).size() == 2);
}

TEST_CASE("a mark that is still in the kernel is not handed out again") {
  Marks marks(0x3);
  const auto first_is_there = [](Family, std::uint32_t mark) { return mark == 1; };
  CHECK(values(marks.assign({"ns", "a"}, {outside("http")}, first_is_there)) == std::set<std::uint32_t>{2});
}

TEST_CASE("after a restart a frontend has the mark that it had") {
  Marks marks(0x307f);
  const auto entry = [](const std::string& address, std::uint32_t mark, std::uint32_t mask = 0x307f) {
    return outside_entry(*IpAddress::parse(address), Protocol::tcp, Port{80}, {mark, mask});
  };
  marks.observed({entry("203.0.113.1", 0x1005), entry("203.0.113.2", 0x7), entry("203.0.113.3", 9, 0xff),
                  entry("203.0.113.4", 0x80)});
  const auto everything = [](Family, std::uint32_t mark) { return mark != 0x11; };
  const auto mark_at = [&](const std::string& name, const std::string& address) {
    return values(marks.assign({"ns", name}, {outside("http", address)}, everything));
  };
  CHECK(mark_at("a", "203.0.113.2") == std::set<std::uint32_t>{0x7});
  CHECK(mark_at("b", "203.0.113.1") == std::set<std::uint32_t>{0x1005});
  CHECK(mark_at("c", "203.0.113.3") == std::set<std::uint32_t>{0x11});  // of another mask
  CHECK(mark_at("d", "203.0.113.4").empty());                           // not within the mask
}

TEST_CASE("without a mask there are no marks") {
  Marks marks(0);
  CHECK(marks.assign({"ns", "a"}, {outside("http")}, nothing).empty());
}

TEST_CASE("a mark and its entry") {
  for (const auto mark : {1U, 0x307fU, 0x00ff0000U}) {
    CHECK(mark_of(mark_entry(Family::ipv4, mark)) == mark);
    CHECK(mark_of(mark_entry(Family::ipv6, mark)) == mark);
  }
  CHECK(mark_entry(Family::ipv4, 0x1005).element() == "0.0.16.5");
}
