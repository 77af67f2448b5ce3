#include "os/privileges.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace ipvsd {
namespace {

static_assert(CAP_NET_BIND_SERVICE == static_cast<int>(Capability::net_bind_service));
static_assert(CAP_NET_ADMIN == static_cast<int>(Capability::net_admin));
static_assert(CAP_NET_RAW == static_cast<int>(Capability::net_raw));

using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

bool has(const Sets& sets, unsigned capability) {
  return (sets[capability / 32].effective >> capability % 32 & 1) != 0;
}

}  // namespace

void keep_memory_private() { ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

Result<void> drop_capabilities(const std::vector<Capability>& keep) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "drop capabilities: no_new_privs");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  Sets sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return fail_errno(errno, "read capabilities");
  Sets kept{};
  for (const auto capability : keep) {
    const auto number = static_cast<unsigned>(capability);
    kept[number / 32].permitted |= sets[number / 32].permitted & 1U << number % 32;
  }
  // The bounding set takes CAP_SETPCAP to change. Without that, no_new_privs keeps programs to what we have.
  for (unsigned number = 0; has(sets, CAP_SETPCAP); ++number) {
    const int bound = ::prctl(PR_CAPBSET_READ, number, 0, 0, 0);
    if (bound < 0) break;  // the kernel has no more
    const bool wanted = number / 32 < kept.size() && (kept[number / 32].permitted >> number % 32 & 1) != 0;
    if (bound > 0 && !wanted && ::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0)
      return fail_errno(errno, "drop capabilities of the bounding set");
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (auto& set : kept) set.effective = set.permitted;
  if (::syscall(SYS_capset, &header, kept.data()) != 0) return fail_errno(errno, "drop capabilities");
  return {};
}

}  // namespace ipvsd
