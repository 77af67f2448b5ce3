#include "daemon/check/module_list.hpp"

#include <algorithm>

namespace ipvsd::check {

void add_modules(std::string_view text, ModuleList& list) {
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    line = line.substr(0, line.find(':'));
    line.remove_prefix(line.rfind('/') == std::string_view::npos ? 0 : line.rfind('/') + 1);
    // ".ko", ".ko.xz"
    const auto end = line.find(".ko");
    if (end == std::string_view::npos || end == 0) continue;
    std::string name(line.substr(0, end));
    std::replace(name.begin(), name.end(), '-', '_');
    list.names.insert(std::move(name));
    list.known = true;
  }
}

}  // namespace ipvsd::check
