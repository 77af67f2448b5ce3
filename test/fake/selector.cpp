#include "test/fake/selector.hpp"

#include <algorithm>

namespace ipvsd::fake {
namespace {

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

// At the commas outside of parentheses.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::string part;
  int depth = 0;
  for (const char c : text) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0) {
      parts.push_back(trimmed(part));
      part.clear();
    } else {
      part += c;
    }
  }
  if (!trimmed(part).empty()) parts.push_back(trimmed(part));
  return parts;
}

}  // namespace

Result<Selector::Term> Selector::parse_term(const std::string& text) {
  if (text.empty() || text == "!") return fail(Errc::malformed, "unable to parse requirement: " + text);
  if (const auto at = text.find("!="); at != std::string::npos && at > 0)
    return Term{trimmed(text.substr(0, at)), Operator::not_in, {trimmed(text.substr(at + 2))}};
  if (const auto at = text.find('='); at != std::string::npos) {
    const auto value = text.substr(at + (text.compare(at, 2, "==") == 0 ? 2 : 1));
    return Term{trimmed(text.substr(0, at)), Operator::in, {trimmed(value)}};
  }
  for (const auto& [word, op] :
       {std::pair<std::string, Operator>{" notin ", Operator::not_in}, {" in ", Operator::in}}) {
    const auto at = text.find(word);
    if (at == std::string::npos) continue;
    const auto list = trimmed(text.substr(at + word.size()));
    if (list.size() < 2 || list.front() != '(' || list.back() != ')')
      return fail(Errc::malformed, "unable to parse requirement: " + text);
    return Term{trimmed(text.substr(0, at)), op, split(list.substr(1, list.size() - 2))};
  }
  if (text[0] == '!') return Term{trimmed(text.substr(1)), Operator::absent, {}};
  return Term{text, Operator::exists, {}};
}

Result<Selector> Selector::parse(const std::string& labels, const std::string& fields) {
  Selector selector;
  for (const auto& part : split(labels)) {
    auto term = parse_term(part);
    if (!term) return fail(term.error());
    selector.terms_.push_back(std::move(*term));
  }
  for (const auto& part : split(fields)) {
    const auto term = parse_term(part);
    if (!term) return fail(term.error());
    if (term->op != Operator::in) return fail(Errc::malformed, "field selector: only = is served: " + part);
    if (term->label == "metadata.name")
      selector.name_ = term->values[0];
    else if (term->label == "metadata.namespace")
      selector.namespace_ = term->values[0];
    else
      return fail(Errc::malformed, "field label not supported: " + term->label);
  }
  return selector;
}

bool Selector::matches(const Json& object) const {
  const Json& metadata = object.at("metadata");
  if (!name_.empty() && metadata.value("name", "") != name_) return false;
  if (!namespace_.empty() && metadata.value("namespace", "") != namespace_) return false;
  const Json labels =
      metadata.contains("labels") && metadata["labels"].is_object() ? metadata["labels"] : Json::object();
  return std::all_of(terms_.begin(), terms_.end(), [&labels](const Term& term) {
    const bool present = labels.contains(term.label);
    const bool listed =
        present && std::find(term.values.begin(), term.values.end(), labels[term.label]) != term.values.end();
    switch (term.op) {
      case Operator::exists: return present;
      case Operator::absent: return !present;
      case Operator::in: return listed;
      case Operator::not_in: return !listed;
    }
    return false;
  });
}

}  // namespace ipvsd::fake
