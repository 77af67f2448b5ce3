// Label and field selectors as the Kubernetes API takes them in queries.
#pragma once

#include <string>
#include <vector>

#include "model/result.hpp"
#include "test/fake/api_objects.hpp"

namespace ipvsd::fake {

class Selector {
 public:
  // `labels`: "a=b,c!=d,e in (f,g),h notin (i),j,!k"; `fields`: "metadata.name=x" or metadata.namespace. ""
  // selects all. Error: malformed.
  [[nodiscard]] static Result<Selector> parse(const std::string& labels, const std::string& fields);
  [[nodiscard]] bool matches(const Json& object) const;
  [[nodiscard]] bool selects_all() const { return terms_.empty() && name_.empty() && namespace_.empty(); }

 private:
  enum class Operator { exists, absent, in, not_in };
  struct Term {
    std::string label;
    Operator op = Operator::exists;
    std::vector<std::string> values;
  };
  [[nodiscard]] static Result<Term> parse_term(const std::string& text);

  std::vector<Term> terms_;
  std::string name_;
  std::string namespace_;
};

}  // namespace ipvsd::fake
