// A configuration under construction: values go in one by one, from a file or from flags; every problem is collected.
// The contract of both ways in: the same table, the same checks, the same words.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/config/config_file.hpp"
#include "daemon/config/options.hpp"

namespace ipvsd {

class ConfigDraft {
 public:
  // `file` stands before the line in messages; "" while values come from flags.
  explicit ConfigDraft(std::string file);

  // `name` is what the user wrote: the field's path or the flag. A null node means "not given".
  void set(const Option& option, const YamlNode& value, const std::string& name);
  void error(int line, const std::string& text);
  // No further error is of use to anybody.
  [[nodiscard]] bool full() const { return errors_.size() >= error_limit; }
  [[nodiscard]] bool has(const std::string& option) const { return set_by_.contains(option); }

  // Fills in defaults that depend on other fields, and checks fields against each other.
  [[nodiscard]] ConfigResult finish() &&;

 private:
  static constexpr std::size_t error_limit = 100;

  struct Origin {
    int line = 0;
    std::string name;
  };
  [[nodiscard]] std::string located(int line, const std::string& text) const;
  void cross_check();
  void require(bool good, const std::string& option, const std::string& expected);

  std::string file_;
  Config config_ = default_config();
  std::map<std::string, Origin> set_by_;  // option name -> who set it; options left at their default are not here
  std::vector<std::string> errors_;
  std::vector<std::string> warnings_;
};

}  // namespace ipvsd
