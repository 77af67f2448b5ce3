#include "daemon/source/yaml_json.hpp"

#include <fmt/format.h>
#include <simdjson.h>
#include <yaml-cpp/anchor.h>
#include <yaml-cpp/emitterstyle.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <set>
#include <sstream>

#include "daemon/source/yaml_scalar.hpp"

namespace ipvsd {
namespace {

constexpr std::size_t text_limit = 16U << 20;
constexpr std::size_t json_limit = 32U << 20;
constexpr std::size_t depth_limit = 100;

struct Stopped : std::exception {};

// Writes JSON while the parser calls it. Errors leave as exceptions, the parser's own way, and are caught below.
class JsonWriter final : public YAML::EventHandler {
 public:
  JsonWriter(JsonDocument& document, std::size_t& budget, const std::stop_token& stop)
      : document_(document), budget_(budget), stop_(stop) {}

  void OnDocumentStart(const YAML::Mark& mark) override { start_ = mark; }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { scalar(mark, anchor, "null", "null"); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) refuse(mark, "an alias within what it stands for");
    const auto [begin, size] = found->second;
    // Checked before anything is copied.
    if (size > budget_) refuse(mark, "aliases expand too far");
    start_value(mark, 0);
    if (expects_key()) refuse(mark, "an alias as a key");
    append(mark, document_.json.substr(begin, size));
    end_value(mark);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    // "?": plain without a tag; "!": quoted, or tagged as not to be resolved.
    const bool plain = tag == "?" || tag == "tag:yaml.org,2002:int" || tag == "tag:yaml.org,2002:bool" ||
                       tag == "tag:yaml.org,2002:float" || tag == "tag:yaml.org,2002:null";
    if (!plain && tag != "!" && !tag.empty() && tag != "tag:yaml.org,2002:str")
      refuse(mark, fmt::format("tag {} is not supported", tag.substr(0, 64)));
    if (!plain) return scalar(mark, anchor, value, quote_json(value));
    if (expects_key() && value == "<<") refuse(mark, "merge keys (<<) are not supported");
    const auto resolved = resolve_plain_scalar(value);
    if (!resolved) refuse(mark, resolved.error().context);
    scalar(mark, anchor, value, *resolved);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, '[');
  }
  void OnSequenceEnd() override { close(']'); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, '{');
  }
  void OnMapEnd() override { close('}'); }

  [[nodiscard]] const YAML::Mark& start() const { return start_; }

 private:
  struct Level {
    bool is_map = false;
    bool has_key = false;  // of a map: a value is due
    std::size_t count = 0;
    std::size_t begin = 0;      // in the JSON
    std::size_t path_size = 0;  // of the map or sequence itself
    YAML::anchor_t anchor = 0;
    std::set<std::string, std::less<>> keys;
  };

  [[noreturn]] static void refuse(const YAML::Mark& mark, const std::string& text) {
    throw YAML::ParserException(mark, text);
  }

  [[nodiscard]] bool expects_key() const {
    return !levels_.empty() && levels_.back().is_map && !levels_.back().has_key;
  }

  void append(const YAML::Mark& mark, std::string_view text) {
    if (text.size() > budget_) refuse(mark, fmt::format("more than {} MiB of JSON", json_limit >> 20));
    budget_ -= text.size();
    document_.json += text;
  }

  // Separators, path and line of the value (or key) that begins here.
  void start_value(const YAML::Mark& mark, std::size_t more_depth) {
    if (stop_.stop_requested()) throw Stopped{};
    if (levels_.size() + more_depth > depth_limit) refuse(mark, fmt::format("nested more than {} deep", depth_limit));
    const int line = mark.line + 1;
    if (levels_.empty()) {
      document_.line = line;
      return;
    }
    auto& level = levels_.back();
    if (!level.is_map) path_ += fmt::format("[{}]", level.count);
    if ((!level.is_map || expects_key()) && level.count++ > 0) append(mark, ",");
    if (level.has_key || !level.is_map) document_.lines.emplace(path_, line);
  }

  void end_value(const YAML::Mark&) {
    if (levels_.empty()) return;
    levels_.back().has_key = false;
    path_.resize(levels_.back().path_size);
  }

  void scalar(const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& text, const std::string& json) {
    const bool is_key = expects_key();
    start_value(mark, 0);
    if (is_key) {
      auto& level = levels_.back();
      if (!level.keys.insert(text).second) refuse(mark, fmt::format("key \"{}\" is given twice", text.substr(0, 64)));
      level.has_key = true;
      path_ += path_.empty() ? text : "." + text;
      return append(mark, quote_json(text) + ":");
    }
    if (anchor != 0) anchors_[anchor] = {document_.json.size(), json.size()};
    append(mark, json);
    end_value(mark);
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, char bracket) {
    if (tag.size() > 1 && tag != "tag:yaml.org,2002:map" && tag != "tag:yaml.org,2002:seq")
      refuse(mark, fmt::format("tag {} is not supported", tag.substr(0, 64)));
    if (expects_key()) refuse(mark, "expected a plain key");
    start_value(mark, 1);
    auto& level = levels_.emplace_back();
    level.is_map = bracket == '{';
    level.begin = document_.json.size();
    level.path_size = path_.size();
    level.anchor = anchor;
    append(mark, std::string_view(&bracket, 1));
  }

  void close(char bracket) {
    const auto& level = levels_.back();
    const YAML::Mark nowhere = YAML::Mark::null_mark();
    append(nowhere, std::string_view(&bracket, 1));
    if (level.anchor != 0) anchors_[level.anchor] = {level.begin, document_.json.size() - level.begin};
    levels_.pop_back();
    end_value(nowhere);
  }

  JsonDocument& document_;
  std::size_t& budget_;
  const std::stop_token& stop_;
  YAML::Mark start_;
  std::vector<Level> levels_;
  std::string path_;
  std::unordered_map<YAML::anchor_t, std::pair<std::size_t, std::size_t>> anchors_;  // begin and size in the JSON
};

}  // namespace

int JsonDocument::line_of(std::string_view path) const {
  for (std::string around(path); !around.empty();) {
    if (const auto found = lines.find(around); found != lines.end()) return found->second;
    const auto cut = around.find_last_of(".[");
    around.resize(cut == std::string::npos ? 0 : cut);
  }
  return line;
}

Result<std::vector<JsonDocument>> yaml_to_json(std::string_view text, const std::stop_token& stop) {
  if (text.size() > text_limit)
    return fail(Errc::malformed, fmt::format("line 1: more than {} MiB of YAML; use JSON", text_limit >> 20));
  // The parser would replace what is no UTF-8 and go on.
  if (!simdjson::validate_utf8(text.data(), text.size())) return fail(Errc::malformed, "line 1: not valid UTF-8");
  std::vector<JsonDocument> documents;
  std::size_t budget = json_limit;
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    for (int last = -1;;) {
      JsonDocument document;
      JsonWriter writer(document, budget, stop);
      if (!parser.HandleNextDocument(writer)) break;
      // A comma that begins a document the parser never takes: it gives an empty document there for ever.
      if (writer.start().pos <= last) throw YAML::ParserException(writer.start(), "not where a value can begin");
      last = writer.start().pos;
      if (!document.json.empty() && document.json != "null") documents.push_back(std::move(document));
    }
  } catch (const Stopped&) {
    return fail(Errc::interrupted, "stopped");
  } catch (const YAML::Exception& error) {
    return fail(Errc::malformed, fmt::format("line {}: {}", error.mark.line + 1, error.msg));
  } catch (const std::exception& error) {
    return fail(Errc::malformed, fmt::format("line 1: {}", error.what()));
  }
  return documents;
}

}  // namespace ipvsd
