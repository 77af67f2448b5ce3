#include "reconcile/cluster_state.hpp"

#include <algorithm>

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

void ClusterState::apply(ClusterEvent event) {
  if (auto* upserted = std::get_if<Upsert>(&event)) {
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
}

void ClusterState::upsert(Service service) {
  const auto [entry, added] = services_.try_emplace(service.key);
  entry->second.generation = generation(Kind::service);
  if (!added && entry->second.object == service) return;
  entry->second.object = std::move(service);
  changed_services_.insert(entry->first);
  touch(entry->first);
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
  ++changed_slices_;
  note_trigger(held.object, triggered);
  join(held.object);
}

void ClusterState::note_trigger(const EndpointSlice& slice, const std::optional<TriggerTime>& triggered) {
  if (!triggered || slice.ignored || slice.service.empty()) return;
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
  changed_services_.clear();
  changed_slices_ = 0;
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
    if (services_.erase(key) == 0) return;
    changed_services_.insert(key);
    touch(key);
  } else if (kind == Kind::endpoint_slice) {
    remove_slice(key);
  }
  // The Node we run on is here, whatever the API says: its last state stays.
}

void ClusterState::remove_slice(const ObjectKey& key) {
  const auto slice = slices_.find(key);
  if (slice == slices_.end()) return;
  part(slice->second.object);
  ++changed_slices_;
  // The last change that the slice told of was an earlier one than its end.
  triggers_.erase(owner_of(slice->second.object));
  slices_.erase(slice);
}

void ClusterState::keep(Kind kind, const ObjectKey& key) {
  const auto mark = [&](auto& objects) {
    const auto entry = objects.find(key);
    if (entry == objects.end())
      unknown_[{kind, key}] = generation(kind);
    else
      entry->second.generation = generation(kind);
  };
  if (kind == Kind::service) mark(services_);
  if (kind == Kind::endpoint_slice) mark(slices_);
}

void ClusterState::sweep(Kind kind) {
  std::vector<ObjectKey> gone;
  const auto collect = [&](const auto& objects) {
    for (const auto& [key, held] : objects)
      if (held.generation != generation(kind)) gone.push_back(key);
  };
  if (kind == Kind::service) collect(services_);
  if (kind == Kind::endpoint_slice) collect(slices_);
  for (const auto& key : gone) remove(kind, key);
  std::erase_if(unknown_,
                [&](const auto& item) { return item.first.first == kind && item.second != generation(kind); });
}

void ClusterState::join(const EndpointSlice& slice) {
  if (slice.ignored || slice.service.empty()) return;
  const ObjectKey owner = owner_of(slice);
  auto& names = slice_names_[owner];
  names.insert(std::lower_bound(names.begin(), names.end(), slice.key.name), slice.key.name);
  touch(owner);
}

void ClusterState::part(const EndpointSlice& slice) {
  if (slice.ignored || slice.service.empty()) return;
  const ObjectKey owner = owner_of(slice);
  const auto entry = slice_names_.find(owner);
  std::erase(entry->second, slice.key.name);
  if (entry->second.empty()) slice_names_.erase(entry);
  touch(owner);
}

void ClusterState::touch(const ObjectKey& service) {
  if (!touched_.insert(service).second) return;
  (is_urgent(service) ? urgent_ : queue_).push_back(service);
}

void ClusterState::touch_all() {
  for (const auto& [key, held] : services_) touch(key);
}

std::optional<ObjectKey> ClusterState::take_touched() {
  auto& from = urgent_.empty() ? queue_ : urgent_;
  if (from.empty()) return {};
  ObjectKey key = std::move(from.front());
  from.pop_front();
  touched_.erase(key);
  return key;
}

const Service* ClusterState::service(const ObjectKey& key) const {
  const auto entry = services_.find(key);
  return entry == services_.end() || entry->second.object.ignored ? nullptr : &entry->second.object;
}

const Service* ClusterState::known_service(const ObjectKey& key) const {
  const auto entry = services_.find(key);
  return entry == services_.end() ? nullptr : &entry->second.object;
}

std::vector<ObjectKey> ClusterState::service_keys() const {
  std::vector<ObjectKey> keys;
  keys.reserve(services_.size());
  for (const auto& [key, held] : services_) keys.push_back(key);
  return keys;
}

std::vector<const EndpointSlice*> ClusterState::slices_of(const ObjectKey& service) const {
  std::vector<const EndpointSlice*> slices;
  const auto names = slice_names_.find(service);
  if (names == slice_names_.end()) return slices;
  slices.reserve(names->second.size());
  for (const auto& name : names->second) slices.push_back(&slices_.at({service.ns, name}).object);
  return slices;
}

}  // namespace ipvsd
