#include <catch2/catch.hpp>

#include "daemon/source/yaml_json.hpp"
#include "daemon/source/yaml_scalar.hpp"

using namespace ipvsd;

namespace {

std::string json(const std::string& yaml) {
  const auto documents = yaml_to_json(yaml);
  if (!documents) return documents.error().context;
  std::string text;
  for (const auto& document : *documents) text += (text.empty() ? "" : " | ") + document.json;
  return text;
}

}  // namespace

TEST_CASE("plain scalars mean what Kubernetes reads") {
  const auto [text, expected] = GENERATE(table<std::string, std::string>({
      {"yes", "true"},
      {"On", "true"},
      {"n", "false"},
      {"OFF", "false"},
      {"true", "true"},
      {"yEs", "\"yEs\""},
      {"~", "null"},
      {"Null", "null"},
      {"", "null"},
      {"80", "80"},
      {"-5", "-5"},
      {"+5", "5"},
      {"-0", "0"},
      {"0x1F", "31"},
      {"0o17", "15"},
      {"017", "15"},
      {"0b11", "3"},
      {"1_000", "1000"},
      {"089", "89"},
      {"0x", "\"0x\""},
      {"18446744073709551615", "18446744073709551615"},
      {"1.5", "1.5"},
      {"80.0", "80"},
      {"1e3", "1000"},
      {".5", "0.5"},
      {"1.", "1"},
      {"-1.5e-3", "-0.0015"},
      {"1.2.3", "\"1.2.3\""},
      {"10.96.0.1", "\"10.96.0.1\""},
      {"e5", "\"e5\""},
      {".", "\".\""},
      {"-", "\"-\""},
      {"1e999", "\"1e999\""},
      {"web", "\"web\""},
      {"2026-11-20T10:12:33Z", "\"2026-11-20T10:12:33Z\""},
      {"a\"b\\c\n", R"("a\"b\\c\u000a")"},
  }));
  INFO(text);
  CHECK(resolve_plain_scalar(text) == expected);
  CHECK_FALSE(resolve_plain_scalar(".inf"));
  CHECK_FALSE(resolve_plain_scalar("-.INF"));
}

TEST_CASE("YAML becomes JSON") {
  const auto [yaml, expected] = GENERATE(table<std::string, std::string>({
      {"a: 1\nb: [x, \"y\", 'no', yes]\n", R"({"a":1,"b":["x","y","no",true]})"},
      {"a:\n  - b: {c: d}\n    e:\n  - 2\n", R"({"a":[{"b":{"c":"d"},"e":null},2]})"},
      {"a: 1\n---\n---\n# nothing\n---\nb: 2\n...\n", R"({"a":1} | {"b":2})"},
      {"", ""},
      {"# only a comment\n", ""},
      {"a: |\n  x\n  y\n", R"({"a":"x\u000ay\u000a"})"},
      {"a: &x {b: [1]}\nc: *x\nd: [*x, *x]\n", R"({"a":{"b":[1]},"c":{"b":[1]},"d":[{"b":[1]},{"b":[1]}]})"},
      {"a: &x yes\nb: *x\n", R"({"a":true,"b":true})"},
      {"a: !!str 80\nb: !!int 80\nc: ! 80\n", R"({"a":"80","b":80,"c":"80"})"},
      {"80: a\n", R"({"80":"a"})"},
      {"{\"a\": [1, {\"b\": null}]}", R"({"a":[1,{"b":null}]})"},
      {"\"<<\": 1\n", R"({"<<":1})"},
      {"a: \"\\u00e9\\t\"\n", "{\"a\":\"\u00e9\\u0009\"}"},
  }));
  CHECK(json(yaml) == expected);
}

TEST_CASE("YAML that is refused says where") {
  const auto [yaml, expected] = GENERATE(table<std::string, std::string>({
      {"a: 1\nb: {\n", "line 3: "},
      {"a: 1\n  b: 2\n", "line 2: "},
      {"a: &x {b: 1}\nc:\n  <<: *x\n", "line 3: merge keys (<<) are not supported"},
      {"a: 1\na: 2\n", "line 2: key \"a\" is given twice"},
      {"a: !!binary aGk=\n", "line 1: tag tag:yaml.org,2002:binary is not supported"},
      {"a: !custom {}\n", "line 1: tag !custom is not supported"},
      {"? [a]\n: b\n", "line 1: expected a plain key"},
      {"a: &x b\n*x : c\n", "line 2: an alias as a key"},
      {"a: &x [*x]\n", "line 1: an alias within"},
      {"a: *nowhere\n", "line 1: "},
      {"a: .nan\n", "line 1: .nan has no JSON form"},
      {"a: \xff\n", "line 1: not valid UTF-8"},
      {std::string(17U << 20, '#'), "line 1: more than 16 MiB of YAML; use JSON"},
      {std::string(200, '[') + std::string(200, ']'), "line 1: nested more than 100 deep"},
      {std::string(1000000, '['), "line 1: "},
      {std::string(100000, '{'), "line 1: "},
  }));
  CHECK_THAT(json(yaml), Catch::StartsWith(expected));
  CHECK_FALSE(yaml_to_json(yaml));
}

TEST_CASE("a comma that begins a document is refused, and not read for ever") {
  CHECK(json(", x") == "line 1: not where a value can begin");
  CHECK(json("a: b\n---\n, x") == "line 3: not where a value can begin");
  CHECK(json("---\n---\na: b\n---\n---\n- c\n") == R"({"a":"b"} | ["c"])");
}

TEST_CASE("aliases cannot blow a file up") {
  std::string yaml = "a0: &a0 [xxxxxxxxxx,xxxxxxxxxx,xxxxxxxxxx,xxxxxxxxxx]\n";
  for (int i = 1; i < 30; ++i) {
    const auto before = "*a" + std::to_string(i - 1);
    yaml += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + "," + before + "," + before + "]\n";
  }
  const auto documents = yaml_to_json(yaml);
  REQUIRE_FALSE(documents);
  CHECK_THAT(documents.error().context, Catch::Contains("aliases expand too far") || Catch::Contains("MiB of JSON"));
}

TEST_CASE("paths have lines") {
  const auto documents = yaml_to_json(
      "# first\na: 1\n---\nmetadata:\n  labels:\n    x.io/y: z\nspec:\n  ports:\n  - port: 80\n"
      "    name: a\n  -\n    port: 81\n");
  REQUIRE(documents);
  REQUIRE(documents->size() == 2);
  const auto& document = documents->back();
  CHECK(document.line == 4);
  CHECK(document.line_of("spec.ports[0].port") == 9);
  CHECK(document.line_of("spec.ports[1].port") == 12);
  CHECK(document.line_of("spec.ports[1].name") == 12);
  CHECK(document.line_of("metadata.labels.x.io/y") == 6);
  CHECK(document.line_of("nowhere") == 4);
  CHECK(document.line_of("") == 4);
}

TEST_CASE("a long document can be given up") {
  std::stop_source source;
  source.request_stop();
  const auto documents = yaml_to_json("a: 1\n", source.get_token());
  REQUIRE_FALSE(documents);
  CHECK(documents.error().code == Errc::interrupted);
}
