#include "test/fake/faulty_kernel.hpp"

#include <algorithm>
#include <array>

namespace ipvsd::test {
namespace {

Error error_of(int sys_errno, std::string context) { return {errc_of(sys_errno), sys_errno, std::move(context)}; }

constexpr std::array refusals{ENOMEM, EBUSY, EPERM, ENOSPC, EAGAIN, EINTR};

}  // namespace

void FaultyKernel::trouble(std::uint32_t seed, unsigned rate) {
  random_.seed(seed);
  rate_ = rate;
}

bool FaultyKernel::strikes(unsigned rarer) {
  if (rate_ == 0 || below(rate_ * rarer) != 0) return false;
  ++injected_;
  return true;
}

// Somebody else adds it with other attributes, or takes it away.
void FaultyKernel::be_quicker(const Operation& operation) {
  Operation theirs = operation;
  if (operation.verb == Verb::set) theirs.verb = Verb::remove;
  if (auto* server = std::get_if<VirtualServer>(&theirs.target)) server->scheduler = "wlc";
  if (auto* of = std::get_if<DestinationOf>(&theirs.target)) of->destination.weight = 7;
  (void)inner_.execute({&theirs, 1});
}

std::vector<Failure> FaultyKernel::execute(std::span<const Operation> operations) {
  if (seen)
    for (const auto& operation : operations) seen(operation);
  if (rate_ == 0 || operations.empty()) return inner_.execute(operations);
  const auto size = static_cast<unsigned>(operations.size());
  // Where answers begin to be missing, and how far the kernel came nevertheless.
  const unsigned lost_from = strikes(2) ? below(size) : size;
  const unsigned effect_until = lost_from == size ? size : lost_from + below(size - lost_from + 1);
  const Error lost = below(2) == 0 ? error_of(ENOBUFS, "fault: answers dropped") : Error{Errc::timed_out, 0, "fault"};
  std::vector<Failure> failures;
  for (unsigned i = 0; i < size; ++i) {
    const auto one = operations.subspan(i, 1);
    if (i >= lost_from) {
      if (i < effect_until) (void)inner_.execute(one);
      failures.push_back({i, lost});
      continue;
    }
    if (strikes(2)) {
      const int error = refusals[below(refusals.size())];
      failures.push_back({i, error_of(error, "fault: " + to_string(operations[i]))});
      continue;
    }
    if (strikes(4)) be_quicker(operations[i]);
    for (auto& failure : inner_.execute(one)) failures.push_back({i, std::move(failure.error)});
  }
  return failures;
}

std::optional<Error> FaultyKernel::listing_fails(const char* what) {
  if (!strikes()) return {};
  switch (below(4)) {
    case 0: return Error{Errc::interrupted, 0, std::string("fault: ") + what};
    case 1: return Error{Errc::timed_out, 0, std::string("fault: ") + what};
    case 2: return error_of(ENOMEM, std::string("fault: ") + what);
    default: return error_of(ENOBUFS, std::string("fault: ") + what);
  }
}

template <class T>
void FaultyKernel::leave_out(std::vector<T>& from) {
  if (!from.empty() && strikes())
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(below(static_cast<unsigned>(from.size()))));
}

Result<void> FaultyKernel::prepare() {
  if (const auto error = listing_fails("prepare")) return fail(*error);
  return inner_.prepare();
}

Result<KernelState> FaultyKernel::observe() {
  if (const auto error = listing_fails("dump")) return fail(*error);
  auto state = inner_.observe();
  if (!state) return state;
  for (auto& found : state->servers) leave_out(found.destinations);
  const auto named = [&](const ObservedVirtualServer& found) {
    const auto& key = found.server.key;
    return std::any_of(state->entries.begin(), state->entries.end(), [&](const SetEntry& entry) {
      return entry.set.type() == SetType::hash_ip_port && entry.address == key.address && entry.port == key.port &&
             entry.protocol == key.protocol;
    });
  };
  std::erase_if(state->servers, [&](const auto& found) { return named(found) && strikes(4); });
  return state;
}

Result<std::optional<ObservedVirtualServer>> FaultyKernel::observe(const VirtualServerKey& key) {
  if (const auto error = listing_fails("observe")) return fail(*error);
  auto found = inner_.observe(key);
  if (found && *found) leave_out((*found)->destinations);
  return found;
}

Result<std::vector<ObservedDestination>> FaultyKernel::destinations(const VirtualServerKey& key) {
  if (const auto error = listing_fails("destinations")) return fail(*error);
  auto found = inner_.destinations(key);
  if (found) leave_out(*found);
  return found;
}

Result<bool> FaultyKernel::servers(std::size_t enough, std::vector<VirtualServer>& into) {
  if (const auto error = listing_fails("servers")) return fail(*error);
  auto more = inner_.servers(enough, into);
  if (more) leave_out(into);
  return more;
}

Result<std::vector<SetEntry>> FaultyKernel::members(IpSet set) {
  if (const auto error = listing_fails("members")) return fail(*error);
  auto members = inner_.members(set);
  if (members) leave_out(*members);
  return members;
}

Result<bool> FaultyKernel::members(IpSet set, std::size_t enough, std::vector<SetEntry>& into) {
  if (const auto error = listing_fails("members")) return fail(*error);
  auto more = inner_.members(set, enough, into);
  if (more) leave_out(into);
  return more;
}

Result<std::vector<LinkAddress>> FaultyKernel::addresses() {
  if (const auto error = listing_fails("addresses")) return fail(*error);
  return inner_.addresses();
}

Result<std::vector<LocalRoute>> FaultyKernel::routes() {
  if (const auto error = listing_fails("routes")) return fail(*error);
  return inner_.routes();
}

std::vector<Notification> FaultyKernel::notifications() {
  auto all = inner_.notifications();
  if (!all.empty() && strikes()) all = {ChangesLost{}};
  return all;
}

}  // namespace ipvsd::test
