#include <catch2/catch.hpp>

#include "daemon/source/decode.hpp"

using namespace ipvsd;

namespace {

struct Read {
  std::vector<std::string> items;
  bool ok = false;
  std::string resource_version;
  std::string continue_token;
  std::string error;
  friend bool operator==(const Read&, const Read&) = default;
};

// Feeds the text in two pieces, or byte by byte.
Read read(const std::string& text, std::size_t split, std::size_t limit = 1U << 20) {
  Read read;
  ListReader reader([&](std::string_view item) { read.items.emplace_back(item); }, limit);
  Result<void> fed;
  const std::string_view view = text;
  if (split <= text.size()) {
    fed = reader.feed(view.substr(0, split));
    if (fed) fed = reader.feed(view.substr(split));
  } else {
    for (std::size_t i = 0; i < text.size() && fed; ++i) fed = reader.feed(view.substr(i, 1));
  }
  const auto meta = reader.finish();
  read.ok = meta.has_value();
  if (meta) {
    read.resource_version = meta->resource_version;
    read.continue_token = meta->continue_token;
  } else {
    read.error = meta.error().message();
    CHECK(meta.error().code == Errc::malformed);
  }
  if (!fed) CHECK_FALSE(meta);
  return read;
}

using Items = std::vector<std::string>;

}  // namespace

TEST_CASE("a list gives the same items however it is cut") {
  const auto [text, items] = GENERATE(table<std::string, Items>({
      {R"({"kind":"ServiceList","metadata":{"resourceVersion":"7","continue":"c"},"items":[{"a":1},{"b":[2,{}]}]})",
       {R"({"a":1})", R"({"b":[2,{}]})"}},
      {R"({"items":[{"a":1}],"metadata":{"resourceVersion":"7","continue":"c"}})", {R"({"a":1})"}},
      {" {\n \"items\" : [ { \"a\" : 1 } , {} ] , \"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"c\"}\n}\n",
       {R"({ "a" : 1 })", "{}"}},
      {R"({"items":null,"metadata":{"resourceVersion":"7","continue":"c"}})", {}},
      {R"({"items":[],"metadata":{"resourceVersion":"7","continue":"c"}})", {}},
      {R"({"metadata":{"resourceVersion":"7","continue":"c","items":[1]},"items":[{"items":[{"x":0}]}]})",
       {R"({"items":[{"x":0}]})"}},
      {R"({"x\"items":[{"a":1}],"items":[{"k":"a\\\"]},{\\"},{"q":"\\\\"}],"metadata":{"resourceVersion":"7","continue":"c"}})",
       {R"({"k":"a\\\"]},{\\"})", R"({"q":"\\\\"})"}},
      {R"({"k":"\"items\":[","items":[1 ,"]",null,[2]],"metadata":{"resourceVersion":"7","continue":"c"}})",
       {"1 ", R"("]")", "null", "[2]"}},
      {R"({"items":[{"metadata":{"name":"a","managedFields":[{"f:x":{"]}":[[{}]]}},"\"]"],"z":[1]},"s":{"b":[2]}},{}],)"
       R"("metadata":{"resourceVersion":"7","continue":"c"}})",
       {R"({"metadata":{"name":"a","managedFields":[],"z":[1]},"s":{"b":[2]}})", "{}"}},
      // Nothing else is left out: another depth, an escaped quote, a value, two in a row.
      {R"({"items":[{"a":1,"managedFields":[1],"b":{"c":{"d":1,"managedFields":[1]},"x,\"managedFields":[1]},)"
       R"("e":["f,","managedFields",[1]],"g":{"h":0,"managedFields":[1],"managedFields":[[2],3],"i":[4]}}],)"
       R"("metadata":{"resourceVersion":"7","continue":"c"}})",
       {R"({"a":1,"managedFields":[1],"b":{"c":{"d":1,"managedFields":[1]},"x,\"managedFields":[1]},)"
        R"("e":["f,","managedFields",[1]],"g":{"h":0,"managedFields":[],"managedFields":[],"i":[4]}})"}},
  }));
  const auto whole = read(text, 0);
  INFO(text << ": " << whole.error);
  CHECK(whole.ok);
  CHECK(whole.items == items);
  CHECK(whole.resource_version == "7");
  CHECK(whole.continue_token == "c");
  for (std::size_t split = 1; split <= text.size() + 1; ++split) CHECK(read(text, split) == whole);
  for (std::size_t size = 0; size < text.find_last_of('}'); ++size) CHECK_FALSE(read(text.substr(0, size), 0).ok);
}

TEST_CASE("what is no list is refused") {
  const auto text = GENERATE(as<std::string>{}, "", "{}", "[]", "null", "[{\"items\":[]}]", "<html>", "{\"items\":{}}",
                             "{\"items\":[{}{}]}", "{\"items\":[,{}]}", "{\"items\":[{},]}", "{\"items\":[{}]",
                             "{\"items\":[{}]}}", "{\"items\":[{}],\"items\":[{}]}", "{\"\\u0069tems\":[{}]}",
                             R"({"kind":"Status","status":"Failure"})", "{\"items\":[1,2", "\xff");
  for (std::size_t split = 0; split <= text.size() + 1; ++split) CHECK_FALSE(read(text, split).ok);
}

TEST_CASE("nothing a server sends grows without bound") {
  const std::string start = R"({"items":[)";
  CHECK_FALSE(read(start + "\"" + std::string(2000, 'x') + "\"]}", 700, 1000).ok);
  CHECK(read(start + "\"" + std::string(900, 'x') + "\"]}", 700, 1000).ok);
  const std::string managed = R"({"a":{"b":0,"managedFields":[)" + std::string(2000, '0') + "]}}";
  CHECK(read(start + managed + "]}", 700, 1000).items == Items{R"({"a":{"b":0,"managedFields":[]}})"});
  CHECK_FALSE(read(start + std::string(100000, '['), 0).ok);
  CHECK_FALSE(read(std::string(100000, '['), 0).ok);
  CHECK_FALSE(read("{\"x\":\"" + std::string(2U << 20, 'x') + "\",\"items\":[]}", 0).ok);
}

TEST_CASE("an element in one piece with nothing left out is a part of that piece") {
  constexpr std::string_view list = R"({"items":[{"a":{"b":0,"managedFields":[{"f:x":{}}]}},{"c":1}]})";
  Items items;
  ListReader reader(
      [&](std::string_view item) {
        REQUIRE(item.data() >= list.data());
        REQUIRE(item.data() + item.size() <= list.data() + list.size());
        items.emplace_back(item);
      },
      1000, ListReader::ManagedFields::keep);
  CHECK(reader.feed(list));
  CHECK(reader.finish());
  CHECK(items == Items{R"({"a":{"b":0,"managedFields":[{"f:x":{}}]}})", R"({"c":1})"});
}

TEST_CASE("a reader that failed stays failed") {
  ListReader reader([](std::string_view) {});
  CHECK_FALSE(reader.feed(R"({"items":[,)"));
  CHECK_FALSE(reader.feed("{}]}"));
  CHECK_FALSE(reader.finish());
}
