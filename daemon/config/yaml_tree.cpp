#include "daemon/config/yaml_tree.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <sstream>

namespace ipvsd {
namespace {

// Thrown by the builder through yaml-cpp's parser, the only way to stop it; never leaves this file.
struct Stop {
  YamlError error;
};

// Builds the tree from yaml-cpp's events. Its own tree (YAML::Node) follows aliases and drops duplicate keys.
class TreeBuilder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Stop{{line(mark), "YAML aliases (*name) are not supported: write the value out"}};
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    // As a key, null has no text to show; as a value it means "not given".
    if (wants_key()) throw Stop{{line(mark), "a key must be a string"}};
    YamlNode node;
    node.line = line(mark);
    add(std::move(node));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    if (wants_key()) {
      open_.back().key = YamlMember{value, line(mark), {}};
      return;
    }
    YamlNode node;
    node.kind = YamlNode::Kind::scalar;
    node.line = line(mark);
    node.text = value;
    node.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(mark, YamlNode::Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(mark, YamlNode::Kind::map);
  }
  void OnMapEnd() override {
    find_duplicates(open_.back().node);
    close();
  }

  YamlDocument document;

 private:
  struct Open {
    YamlNode node;
    std::optional<YamlMember> key;  // of a map: the member whose value comes next
  };

  static int line(const YAML::Mark& mark) { return std::max(mark.line, 0) + 1; }
  [[nodiscard]] bool wants_key() const {
    return !open_.empty() && open_.back().node.kind == YamlNode::Kind::map && !open_.back().key;
  }
  void open(const YAML::Mark& mark, YamlNode::Kind kind) {
    if (wants_key()) throw Stop{{line(mark), "a key must be a string"}};
    if (open_.size() == yaml_depth_limit)
      throw Stop{{line(mark), fmt::format("nested more than {} levels deep", yaml_depth_limit)}};
    YamlNode node;
    node.kind = kind;
    node.line = line(mark);
    open_.push_back({std::move(node), {}});
  }
  void close() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(node));
  }
  void add(YamlNode node) {
    if (open_.empty()) {
      document.root = std::move(node);
    } else if (auto& parent = open_.back(); parent.key) {
      parent.key->value = std::move(node);
      parent.node.members.push_back(std::move(*parent.key));
      parent.key.reset();
    } else {
      parent.node.items.push_back(std::move(node));
    }
  }
  void find_duplicates(const YamlNode& map) {
    std::vector<const YamlMember*> sorted;
    for (const auto& member : map.members) sorted.push_back(&member);
    std::stable_sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->key < b->key; });
    for (std::size_t i = 1; i < sorted.size(); ++i)
      if (sorted[i]->key == sorted[i - 1]->key)
        document.duplicates.push_back(
            {sorted[i]->line,
             fmt::format("{}: given twice, first on line {}", sorted[i]->key.substr(0, 64), sorted[i - 1]->line)});
  }

  std::vector<Open> open_;
};

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const auto& member : members)
    if (member.key == key) return &member.value;
  return nullptr;
}

std::string YamlNode::shown() const {
  switch (kind) {
    case Kind::null: return "nothing";
    case Kind::list: return "a list";
    case Kind::map: return "a map";
    case Kind::scalar: break;
  }
  std::string cut;
  for (const char c : text.substr(0, 80)) cut += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return fmt::format("\"{}{}\"", cut, text.size() > 80 ? "..." : "");
}

tl::expected<YamlDocument, YamlError> parse_yaml(std::string_view text) {
  const auto refuse = [](int line, std::string what) {
    return tl::unexpected<YamlError>(YamlError{line, std::move(what)});
  };
  if (text.size() > yaml_size_limit)
    return refuse(1, fmt::format("{} bytes: larger than the limit of {} bytes", text.size(), yaml_size_limit));
  if (const auto nul = text.find('\0'); nul != std::string_view::npos)
    return refuse(static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(nul), '\n')) + 1,
                  "contains a NUL byte: this is no YAML text");
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    TreeBuilder builder;
    parser.HandleNextDocument(builder);
    TreeBuilder second;
    if (parser.HandleNextDocument(second))
      return refuse(std::max(second.document.root.line, 1), "a second document; only one is expected");
    return std::move(builder.document);
  } catch (const Stop& stop) {
    return tl::unexpected<YamlError>(stop.error);
  } catch (const YAML::Exception& error) {
    return refuse(std::max(error.mark.line, 0) + 1, fmt::format("not valid YAML: {}", error.msg));
  } catch (const std::exception& error) {
    return refuse(1, fmt::format("not valid YAML: {}", error.what()));
  }
}

}  // namespace ipvsd
