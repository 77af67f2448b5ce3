// What the API said: the objects, and which Services an event touched. Pure; the order of events between kinds does not
// matter to the result.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "model/event.hpp"

namespace ipvsd {

class ClusterState {
 public:
  // The state of the Node `node_name` is kept, events of others are ignored. Of Services and of EndpointSlices at most
  // `object_limit` each are held.
  explicit ClusterState(std::string node_name, std::size_t object_limit = default_object_limit)
      : node_name_(std::move(node_name)), object_limit_(object_limit) {}

  // A new object for which there is no room: its next event or list brings it in, once others have gone.
  struct LeftOut {
    Kind kind;
    ObjectKey key;
    bool first;  // before it all of its kind had room, as the last list showed
  };
  // O(the event): an event that changes nothing touches nothing.
  std::optional<LeftOut> apply(ClusterEvent event);

  [[nodiscard]] std::size_t object_limit() const { return object_limit_; }

  // Services, EndpointSlices and the Node have each been listed completely once. Until then absence means nothing; and
  // without the Node, its NodePort addresses and zone would come and go at a restart.
  [[nodiscard]] bool synced() const { return listed_[0] && listed_[1] && listed_[2]; }
  // Nothing exists that could not be read, or had no room, and is not known from before. While something does, absence
  // proves nothing.
  [[nodiscard]] bool complete() const { return unknown_.empty() && left_out_ == decltype(left_out_){}; }

  // The next touched Service; nothing when none is left. First the cluster's own (default/kubernetes and DNS), then
  // those that changed after they had been taken before, so that nobody waits behind a cold start or a change of the
  // node.
  [[nodiscard]] std::optional<ObjectKey> take_touched();
  [[nodiscard]] std::size_t touched() const { return urgent_.size() + changed_.size() + queue_.size(); }
  // After a change of the node, everything.
  void touch_all();
  // One, if it is known.
  void touch(const ObjectKey& service);

  // --- what has changed since the last take, for metrics ---
  using TriggerTime = std::chrono::sys_time<std::chrono::nanoseconds>;
  struct Trigger {
    Family family;
    TriggerTime time;
  };
  // Changes that began earlier are not noted; without a call, none. What a first list tells of is mostly long past.
  void note_changes_since(TriggerTime since) { noted_since_ = since; }
  // When the changes of the Service's slices began, where they say so.
  [[nodiscard]] std::vector<Trigger> take_triggers(const ObjectKey& service);
  // Services that differ, and effective changes of slices, since they were forgotten.
  struct Changes {
    std::size_t services = 0;
    std::size_t slices = 0;
  };
  [[nodiscard]] Changes changes() const { return changes_; }
  void forget_changes();

  // The Service, unless it is absent or ignored.
  [[nodiscard]] const Service* service(const ObjectKey& key) const;
  // What has not been looked at yet is to be by age: of two Services that claim one address, first the one that has it.
  void order_by_age();
  // The Service, ignored or not, unless it is absent.
  [[nodiscard]] const Service* known_service(const ObjectKey& key) const;
  // Of all Services, ignored ones too, in no order.
  [[nodiscard]] std::vector<ObjectKey> service_keys() const;
  [[nodiscard]] std::size_t service_count() const { return services_.size(); }
  // The slices of a Service, ignored ones left out, sorted by name. Valid until the next event.
  [[nodiscard]] std::span<const EndpointSlice* const> slices_of(const ObjectKey& service) const;
  [[nodiscard]] const Node* node() const { return node_ ? &*node_ : nullptr; }
  // True once after each change of the Node.
  [[nodiscard]] bool take_node_changed() { return std::exchange(node_changed_, false); }

 private:
  struct HeldSlice {
    EndpointSlice object;
    std::uint32_t generation = 0;  // of the last replacement that mentioned it
  };
  // A Service, what belongs to it although it may not be there (yet), and whether it waits to be looked at.
  struct Known {
    std::optional<Service> object;
    std::uint32_t generation = 0;
    std::uint32_t changed_in = 0;  // the last round of changes that has it
    bool touched = false;
    bool taken = false;                        // has been looked at before
    std::vector<const EndpointSlice*> slices;  // ignored ones left out; sorted by name
  };
  using Services = std::unordered_map<ObjectKey, Known>;

  [[nodiscard]] bool has_room(const Object& object) const;
  // Returns whether it is the first.
  bool leave_out(Kind kind);
  void upsert(Service service);
  void upsert(EndpointSlice slice);
  void upsert(Node node);
  void remove(Kind kind, const ObjectKey& key);
  void remove_service(const ObjectKey& key);
  void remove_slice(const ObjectKey& key);
  void keep(Kind kind, const ObjectKey& key);
  void sweep(Kind kind);
  void touch(Services::value_type& known);
  void changed(Services::value_type& known);
  void note_trigger(const EndpointSlice& slice, const std::optional<TriggerTime>& triggered);
  void join(const EndpointSlice& slice);
  void part(const EndpointSlice& slice);
  [[nodiscard]] std::uint32_t generation(Kind kind) const { return generations_[static_cast<std::size_t>(kind)]; }

  std::string node_name_;
  std::size_t object_limit_;
  Services services_;
  std::size_t held_services_ = 0;  // those in services_ that are there
  std::unordered_map<ObjectKey, HeldSlice> slices_;
  std::map<std::pair<Kind, ObjectKey>, std::uint32_t> unknown_;  // kept and never read; their generation
  std::optional<Node> node_;
  bool node_changed_ = false;
  std::array<std::uint32_t, 3> generations_{};
  std::array<bool, 3> listed_{};
  std::array<std::optional<std::uint32_t>, 3> left_out_{};  // by kind: the generation of the last that had no room

  TriggerTime noted_since_ = TriggerTime::max();
  std::unordered_map<ObjectKey, std::vector<Trigger>> triggers_;  // by Service
  std::uint32_t round_ = 1;                                       // of changes, until they are forgotten
  Changes changes_;

  // Touched Services, which stay in services_ until they are taken.
  std::deque<Services::value_type*> urgent_;
  std::deque<Services::value_type*> changed_;
  std::deque<Services::value_type*> queue_;
};

}  // namespace ipvsd
