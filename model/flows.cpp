#include "model/flows.hpp"

#include <fmt/format.h>

namespace ipvsd {

std::string Flow::to_string() const {
  return fmt::format(
      "{} {} -> {}, answered by {}", ipvsd::to_string(protocol), format_socket(original.source, original.source_port),
      format_socket(original.destination, original.destination_port), format_socket(reply.source, reply.source_port));
}

bool FlowFilter::admits(const Flow& flow) const {
  return flow.family() == family && flow.protocol == protocol &&
         (!destination || *destination == flow.original.destination) &&
         (!port || *port == flow.original.destination_port);
}

}  // namespace ipvsd
