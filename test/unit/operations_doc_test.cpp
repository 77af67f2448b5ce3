// docs/operations.md describes each metric that is served, and no other.
#include <catch2/catch.hpp>
#include <fstream>
#include <set>
#include <sstream>

#include "daemon/serve/metrics.hpp"

using namespace ipvsd;

namespace {

std::set<std::string> served() {
  std::set<std::string> names;
  std::istringstream text(Metrics("1.2.3").text());
  for (std::string line; std::getline(text, line);)
    if (line.starts_with("# TYPE ")) names.insert(line.substr(7, line.find(' ', 7) - 7));
  return names;
}

std::set<std::string> described() {
  std::set<std::string> names;
  std::ifstream text(OPERATIONS_DOC);
  bool inside = false;
  for (std::string line; std::getline(text, line);) {
    if (line == "<!-- metrics -->") inside = true;
    if (line == "<!-- /metrics -->") inside = false;
    if (inside && line.starts_with("| `")) names.insert(line.substr(3, line.find('`', 3) - 3));
  }
  return names;
}

}  // namespace

TEST_CASE("docs/operations.md describes the metrics that are served") {
  const auto in_doc = described();
  const auto in_code = served();
  REQUIRE(in_code.size() > 20);
  for (const auto& name : in_code) {
    INFO("not described: " << name);
    CHECK(in_doc.contains(name));
  }
  for (const auto& name : in_doc) {
    INFO("described, but not served: " << name);
    CHECK(in_code.contains(name));
  }
}
