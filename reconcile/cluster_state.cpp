#include "reconcile/cluster_state.hpp"

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>
#include <vector>

namespace ipvsd {
namespace {

// Changes of one Service between two writes that are worth measuring.
constexpr std::size_t trigger_limit = 64;

// What everything else waits for.
bool is_urgent(const ObjectKey& service) {
  return (service.ns == "default" && service.name == "kubernetes") ||
         (service.ns == "kube-system" && service.name.find("dns") != std::string::npos);
}

ObjectKey owner_of(const EndpointSlice& slice) { return {slice.key.ns, slice.service}; }

}  // namespace

std::optional<ClusterState::LeftOut> ClusterState::apply(ClusterEvent event) {
  if (auto* upserted = std::get_if<Upsert>(&event)) {
    if (!has_room(upserted->object)) {
      const Kind kind = kind_of(upserted->object);
      return LeftOut{kind, key_of(upserted->object), leave_out(kind)};
    }
    if (!unknown_.empty()) unknown_.erase({kind_of(upserted->object), key_of(upserted->object)});
    std::visit([this](auto&& object) { upsert(std::move(object)); }, std::move(upserted->object));
  } else if (const auto* removed = std::get_if<Remove>(&event)) {
    remove(removed->kind, removed->key);
  } else if (const auto* kept = std::get_if<Keep>(&event)) {
    keep(kept->kind, kept->key);
  } else if (const auto* begun = std::get_if<ReplaceBegin>(&event)) {
    ++generations_[static_cast<std::size_t>(begun->kind)];
  } else if (const auto* ended = std::get_if<ReplaceEnd>(&event)) {
    sweep(ended->kind);
    listed_[static_cast<std::size_t>(ended->kind)] = true;
  }
  return {};
}

bool ClusterState::has_room(const Object& object) const {
  if (const auto* service = std::get_if<Service>(&object))
    return held_services_ < object_limit_ || known_service(service->key) != nullptr;
  if (const auto* slice = std::get_if<EndpointSlice>(&object))
    return slices_.size() < object_limit_ || slices_.contains(slice->key);
  return true;
}

bool ClusterState::leave_out(Kind kind) {
  return !std::exchange(left_out_[static_cast<std::size_t>(kind)], generation(kind));
}

void ClusterState::upsert(Service service) {
  auto& entry = *services_.try_emplace(service.key).first;
  Known& known = entry.second;
  known.generation = generation(Kind::service);
  if (known.object == service) return;
  if (!known.object) ++held_services_;
  known.object = std::move(service);
  changed(entry);
}

void ClusterState::upsert(EndpointSlice slice) {
  // It belongs to the change, not to the slice: alone it is none.
  const auto triggered = std::exchange(slice.triggered, std::nullopt);
  const auto [entry, added] = slices_.try_emplace(slice.key);
  auto& held = entry->second;
  held.generation = generation(Kind::endpoint_slice);
  if (!added && held.object == slice) return;
  if (!added) part(held.object);
  held.object = std::move(slice);
  ++changes_.slices;
  note_trigger(held.object, triggered);
  join(held.object);
}

void ClusterState::note_trigger(const EndpointSlice& slice, const std::optional<TriggerTime>& triggered) {
  if (!triggered || *triggered <= noted_since_ || slice.ignored || slice.service.empty()) return;
  auto& triggers = triggers_[owner_of(slice)];
  if (triggers.size() < trigger_limit) triggers.push_back({slice.family, *triggered});
}

std::vector<ClusterState::Trigger> ClusterState::take_triggers(const ObjectKey& service) {
  const auto entry = triggers_.find(service);
  if (entry == triggers_.end()) return {};
  auto triggers = std::move(entry->second);
  triggers_.erase(entry);
  return triggers;
}

void ClusterState::forget_changes() {
  ++round_;
  changes_ = {};
}

void ClusterState::upsert(Node node) {
  if (node.name != node_name_) return;
  if (node_ && *node_ == node) return;
  node_ = std::move(node);
  node_changed_ = true;
}

void ClusterState::remove(Kind kind, const ObjectKey& key) {
  unknown_.erase({kind, key});
  if (kind == Kind::service) {
    remove_service(key);
  } else if (kind == Kind::endpoint_slice) {
    remove_slice(key);
  }
  // The Node we run on is here, whatever the API says: its last state stays.
}

void ClusterState::remove_service(const ObjectKey& key) {
  const auto known = services_.find(key);
  if (known == services_.end() || !known->second.object) return;
  known->second.object.reset();
  --held_services_;
  changed(*known);
}

void ClusterState::remove_slice(const ObjectKey& key) {
  const auto slice = slices_.find(key);
  if (slice == slices_.end()) return;
  part(slice->second.object);
  ++changes_.slices;
  // The last change that the slice told of was an earlier one than its end.
  triggers_.erase(owner_of(slice->second.object));
  slices_.erase(slice);
}

void ClusterState::keep(Kind kind, const ObjectKey& key) {
  std::uint32_t* mark = nullptr;
  if (kind == Kind::service) {
    if (const auto known = services_.find(key); known != services_.end() && known->second.object)
      mark = &known->second.generation;
  } else if (kind == Kind::endpoint_slice) {
    if (const auto held = slices_.find(key); held != slices_.end()) mark = &held->second.generation;
  } else {
    return;
  }
  if (mark == nullptr && unknown_.size() >= object_limit_ && !unknown_.contains({kind, key})) {
    leave_out(kind);
    return;
  }
  (mark != nullptr ? *mark : unknown_[{kind, key}]) = generation(kind);
}

void ClusterState::sweep(Kind kind) {
  std::vector<ObjectKey> gone;
  if (kind == Kind::service)
    for (const auto& [key, known] : services_)
      if (known.object && known.generation != generation(kind)) gone.push_back(key);
  if (kind == Kind::endpoint_slice)
    for (const auto& [key, held] : slices_)
      if (held.generation != generation(kind)) gone.push_back(key);
  for (const auto& key : gone) remove(kind, key);
  if (auto& last = left_out_[static_cast<std::size_t>(kind)]; last && *last != generation(kind)) last.reset();
  std::erase_if(unknown_,
                [&](const auto& item) { return item.first.first == kind && item.second != generation(kind); });
}

void ClusterState::join(const EndpointSlice& slice) {
  if (slice.ignored || slice.service.empty()) return;
  auto& known = *services_.try_emplace(owner_of(slice)).first;
  auto& slices = known.second.slices;
  slices.insert(
      std::lower_bound(slices.begin(), slices.end(), slice.key.name,
                       [](const EndpointSlice* other, const std::string& name) { return other->key.name < name; }),
      &slice);
  touch(known);
}

void ClusterState::part(const EndpointSlice& slice) {
  if (slice.ignored || slice.service.empty()) return;
  auto& known = *services_.find(owner_of(slice));
  std::erase(known.second.slices, &slice);
  touch(known);
}

void ClusterState::touch(Services::value_type& known) {
  if (std::exchange(known.second.touched, true)) return;
  (is_urgent(known.first) ? urgent_ : known.second.taken ? changed_ : queue_).push_back(&known);
}

void ClusterState::changed(Services::value_type& known) {
  if (std::exchange(known.second.changed_in, round_) != round_) ++changes_.services;
  touch(known);
}

void ClusterState::touch(const ObjectKey& service) {
  if (const auto known = services_.find(service); known != services_.end()) touch(*known);
}

void ClusterState::touch_all() {
  for (auto& entry : services_) {
    if (!entry.second.object || std::exchange(entry.second.touched, true)) continue;
    (is_urgent(entry.first) ? urgent_ : queue_).push_back(&entry);
  }
}

std::optional<ObjectKey> ClusterState::take_touched() {
  auto& from = !urgent_.empty() ? urgent_ : !changed_.empty() ? changed_ : queue_;
  if (from.empty()) return {};
  auto& [key_here, known] = *from.front();
  from.pop_front();
  ObjectKey key = key_here;
  known.touched = false;
  known.taken = true;
  if (!known.object && known.slices.empty()) services_.erase(key);
  return key;
}

void ClusterState::order_by_age() {
  std::vector<std::pair<std::chrono::sys_seconds, Services::value_type*>> ages;
  ages.reserve(queue_.size());
  for (auto* entry : queue_) {
    const auto& object = entry->second.object;
    ages.emplace_back(object ? object->created : std::chrono::sys_seconds{}, entry);
  }
  std::sort(ages.begin(), ages.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, a.second->first) < std::tie(b.first, b.second->first);
  });
  for (std::size_t i = 0; i < ages.size(); ++i) queue_[i] = ages[i].second;
}

const Service* ClusterState::service(const ObjectKey& key) const {
  const auto known = services_.find(key);
  if (known == services_.end() || !known->second.object || known->second.object->ignored) return nullptr;
  return &*known->second.object;
}

const Service* ClusterState::known_service(const ObjectKey& key) const {
  const auto known = services_.find(key);
  return known == services_.end() || !known->second.object ? nullptr : &*known->second.object;
}

std::vector<ObjectKey> ClusterState::service_keys() const {
  std::vector<ObjectKey> keys;
  keys.reserve(services_.size());
  for (const auto& [key, held] : services_)
    if (held.object) keys.push_back(key);
  return keys;
}

std::span<const EndpointSlice* const> ClusterState::slices_of(const ObjectKey& service) const {
  const auto known = services_.find(service);
  if (known == services_.end()) return {};
  return known->second.slices;
}

}  // namespace ipvsd
