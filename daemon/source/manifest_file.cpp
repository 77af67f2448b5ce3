#include "daemon/source/manifest_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "daemon/source/decode.hpp"
#include "daemon/source/yaml_json.hpp"

namespace ipvsd {
namespace {

// Where a field of the object at hand stands; items of a YAML list have a path in front of their own.
using LineOf = std::function<int(std::string_view path)>;

class Reader {
 public:
  Reader(std::string_view name, const std::stop_token& stop) : name_(name), stop_(stop) {}

  // An object, or a list of objects, in JSON. `item_line` places the item of that index and offset.
  void document(std::string_view json, const LineOf& line_of,
                const std::function<LineOf(std::size_t index, std::size_t offset)>& item_line) {
    std::vector<std::string_view> items;
    // In one piece and with nothing left out, so the items are parts of `json`.
    ListReader reader([&](std::string_view item) { items.push_back(item); }, json.size(),
                      ListReader::ManagedFields::keep);
    const auto fed = reader.feed(json);
    const auto meta = reader.finish();
    if (!fed || !meta || !(meta->kind.ends_with("List"))) return object(json, {}, line_of);
    for (std::size_t i = 0; i < items.size() && !stop_.stop_requested(); ++i)
      object(items[i], meta->kind, item_line(i, static_cast<std::size_t>(items[i].data() - json.data())));
  }

  [[nodiscard]] ManifestFile take() { return std::move(file_); }

 private:
  void object(std::string_view json, std::string_view list_kind, const LineOf& line_of) {
    auto manifest = decoder_.manifest(json, list_kind);
    if (!manifest.object) {
      file_.skipped.push_back(fmt::format("{}:{}: {}", name_, line_of(""), manifest.other));
      return;
    }
    if (!*manifest.object) return refused(manifest, line_of);
    auto& decoded = **manifest.object;
    auto key = key_of(decoded.object);
    for (const auto& warning : decoded.warnings)
      problem(line_of(std::string_view(warning).substr(0, warning.find(": "))),
              fmt::format("{} {}: {}", to_string(*manifest.kind), key.to_string(), warning));
    add({*manifest.kind, std::move(key), line_of(""), std::move(decoded.object)});
  }

  void refused(const ManifestObject& manifest, const LineOf& line_of) {
    const auto& rejected = manifest.object->error();
    ++file_.rejected;
    problem(line_of(rejected.path), rejected.error.context);
    if (manifest.kind && !rejected.key.name.empty())
      add({*manifest.kind, rejected.key, line_of(""), {}});
    else
      file_.complete = false;
  }

  void add(ManifestEntry entry) {
    if (!seen_.emplace(entry.kind, entry.key).second)
      return problem(entry.line, fmt::format("{} {}: defined above already; this one is ignored", to_string(entry.kind),
                                             entry.key.to_string()));
    file_.entries.push_back(std::move(entry));
  }

  void problem(int line, std::string_view text) {
    file_.problems.push_back(fmt::format("{}:{}: {}", name_, line, text));
  }

  std::string_view name_;
  const std::stop_token& stop_;
  Decoder decoder_;
  std::set<std::pair<Kind, ObjectKey>> seen_;
  ManifestFile file_;
};

void read_json(Reader& reader, std::string_view text) {
  std::size_t counted = 0;
  int line = 1;
  const auto item_line = [&](std::size_t, std::size_t offset) -> LineOf {
    line += static_cast<int>(std::count(text.begin() + static_cast<std::ptrdiff_t>(counted),
                                        text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
    counted = offset;
    return [at = line](std::string_view) { return at; };
  };
  reader.document(
      text, [](std::string_view) { return 1; }, item_line);
}

void read_yaml_document(Reader& reader, const JsonDocument& document) {
  const auto item_line = [&](std::size_t index, std::size_t) -> LineOf {
    return [&document, item = fmt::format("items[{}]", index)](std::string_view path) {
      return document.line_of(path.empty() ? item : fmt::format("{}.{}", item, path));
    };
  };
  reader.document(
      document.json, [&](std::string_view path) { return document.line_of(path); }, item_line);
}

}  // namespace

bool is_manifest_name(std::string_view name) {
  return !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

Result<ManifestFile> read_manifest(std::string_view name, std::string_view text, const std::stop_token& stop) {
  Reader reader(name, stop);
  if (name.ends_with(".json")) {
    read_json(reader, text);
  } else {
    const auto documents = yaml_to_json(text, stop);
    // "line 3: ..." becomes "web.yaml:3: ...".
    if (!documents) {
      auto error = documents.error();
      constexpr std::string_view line = "line ";
      if (error.context.starts_with(line))
        error.context = fmt::format("{}:{}", name, error.context.substr(line.size()));
      return fail(std::move(error));
    }
    for (const auto& document : *documents) read_yaml_document(reader, document);
  }
  if (stop.stop_requested()) return fail(Errc::interrupted, "stopped");
  return reader.take();
}

}  // namespace ipvsd
