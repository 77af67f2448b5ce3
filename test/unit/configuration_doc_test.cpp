// docs/configuration.md is what the option table says. DOC_UPDATE=1 writes it anew.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "daemon/config/options.hpp"

using namespace ipvsd;

namespace {

constexpr std::string_view begins = "<!-- options -->\n";
constexpr std::string_view ends = "<!-- /options -->\n";

std::string code(const std::string& text) { return text.empty() ? "" : "`" + text + "`"; }

// In a cell a bar would end it.
std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

void section(std::string& into, Use use, std::string_view title, std::string_view explanation) {
  into += fmt::format("### {}\n\n{}\n\n| Field | Flag | Type | Default | Meaning |\n|---|---|---|---|---|\n", title,
                      explanation);
  for (const auto& option : options())
    if (option.use == use)
      into += fmt::format("| `{}` | {} | {} | {} | {} |\n", option.name, code(option.flag), to_string(option.type),
                          code(option.default_value), cell(option.meaning));
  into += "\n";
}

std::string rendered() {
  std::string text = "\n";
  section(text, Use::honoured, "In effect", "These do what they say.");
  section(
      text, Use::checked, "Accepted, with nothing to do",
      "Their values are checked. What they govern in kube-proxy is not there to be governed: changes are written as "
      "they come, and nobody misses the rest.");
  section(text, Use::ignored, "Accepted without effect",
          "A value other than the default gives a warning at start and in `--check`.");
  return text;
}

}  // namespace

TEST_CASE("docs/configuration.md lists the options as the code has them") {
  std::ostringstream read;
  read << std::ifstream(CONFIGURATION_DOC).rdbuf();
  const auto text = read.str();
  const auto from = text.find(begins);
  const auto to = text.find(ends);
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  if (std::getenv("DOC_UPDATE") != nullptr) {
    std::ofstream(CONFIGURATION_DOC) << text.substr(0, from) << begins << rendered() << text.substr(to);
    SUCCEED("written");
    return;
  }
  INFO("DOC_UPDATE=1 build/test/unit/test_config writes it anew");
  CHECK(text.substr(from + begins.size(), to - from - begins.size()) == rendered());
}
