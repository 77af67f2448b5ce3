#include "os/modules.hpp"

#include <unistd.h>

#include <string>
#include <vector>

#include "os/process.hpp"

namespace ipvsd {

void load_modules(std::span<const std::string_view> names) {
  std::vector<std::string> command{"modprobe", "-qa"};
  for (const auto name : names)
    if (::access(("/sys/module/" + std::string(name)).c_str(), F_OK) != 0) command.emplace_back(name);
  if (command.size() > 2) (void)run_process(command, "", std::chrono::seconds(10));
}

}  // namespace ipvsd
