// Which modules a kernel has, by the lists that depmod leaves beside them.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace ipvsd::check {

struct ModuleList {
  std::set<std::string> names;  // with underscores
  bool known = false;           // a list was there
};

// The names in the text of modules.builtin (a path a line) or modules.dep ("path: dependencies"). Pure.
void add_modules(std::string_view text, ModuleList& list);

}  // namespace ipvsd::check
