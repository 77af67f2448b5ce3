// The body of one list page or watch stream: bytes to objects to ClusterEvents.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/source/api_connection.hpp"
#include "daemon/source/decode.hpp"
#include "daemon/source/reflector_state.hpp"
#include "model/event.hpp"

namespace ipvsd {

// What an AnswerReading has to tell beside the events; called on the reading thread.
class ReadingObserver {
 public:
  virtual ~ReadingObserver() = default;
  virtual void on_answered(Ask::Verb verb) = 0;        // the server said 200
  virtual void on_delivered(std::size_t objects) = 0;  // pushed into the sink
  virtual void on_list_complete() = 0;
  virtual void on_rejected(const std::string& problem) = 0;  // an object that could not be read
  virtual void on_doubt(const std::string& problem) = 0;     // a part of an object that was left out
};

// Events leave in batches of at most 64; those of a watch at the latest when the bytes at hand have been
// read.
class AnswerReading {
 public:
  // `state` hears of the versions seen. `limit`: longest frame or item, bytes; `object_limit`: most objects of a list,
  // all pages together.
  AnswerReading(Kind kind, const Ask& ask, std::size_t limit, EventSink& sink, ReflectorState& state,
                ReadingObserver& observer, std::size_t object_limit = default_object_limit);

  // An ApiConnection::Receiver.
  [[nodiscard]] bool receive(std::string_view piece);

  // Once the request has ended.
  [[nodiscard]] Outcome finish(const Result<ApiAnswer>& answer);

  // Why the reading itself ended the request: an ERROR event, senseless bytes. "" if it did not.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  // What a refusal says.
  [[nodiscard]] std::string status_text(const std::string& body, int status);

 private:
  void begin();
  void list_item(std::string_view json);
  [[nodiscard]] bool split_frames(std::string_view piece);
  [[nodiscard]] bool frame(std::string_view line);
  [[nodiscard]] bool bookmark(const WatchFrame& frame);
  [[nodiscard]] bool end(Outcome::End end, std::string problem);
  // True: the list has one object too many, and ends.
  [[nodiscard]] bool beyond_limit();
  // False: not even the key could be read.
  bool put(DecodedObject decoded);
  void add(ClusterEvent event);
  void flush();

  const Kind kind_;
  const Ask ask_;
  const std::size_t limit_;
  const std::size_t object_limit_;
  EventSink& sink_;
  ReflectorState& state_;
  ReadingObserver& observer_;
  Decoder decoder_;
  ListReader list_;
  std::string line_;  // the beginning of a frame whose end has not arrived
  std::vector<ClusterEvent> batch_;
  std::size_t objects_ = 0;  // in batch_
  bool begun_ = false;
  bool initial_ = false;  // before the end of the initial events of a watch_list
  std::chrono::steady_clock::time_point begun_at_;
  Outcome outcome_;
  std::string problem_;
};

}  // namespace ipvsd
