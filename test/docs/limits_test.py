#!/usr/bin/env python3
"""The table of limits in docs/reliability.md has the numbers of the sources."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Beginning of the row, then file and constant of each number in it, in order.
ROWS = {
    "objects of a list": [("model/objects.hpp", "default_object_limit")],
    "Services and": [("model/objects.hpp", "default_object_limit"), ("model/objects.hpp", "default_object_limit")],
    "a list of ServiceCIDRs": [("daemon/source/service_cidrs.cpp", "answer_limit")],
    "an object of a list": [("daemon/source/reflector.hpp", "frame_limit")],
    "a list beside": [("daemon/source/list_reader.cpp", "envelope_limit"), ("daemon/source/list_reader.cpp", "depth_limit")],
    "ports of": [("daemon/source/decode_service.cpp", "port_limit")],
    "endpoints of": [("daemon/source/decode_endpoint_slice.cpp", "endpoint_limit")],
    "other lists": [("daemon/source/json_value.hpp", "list_limit"), ("daemon/source/decode_endpoint_slice.cpp", "hint_limit")],
    "names": [("daemon/source/json_value.hpp", "name_limit")],
    "warnings": [("daemon/source/json_value.hpp", "warning_limit"), ("daemon/source/reflector.cpp", "reported_limit")],
    "the body of": [("daemon/source/api_connection.cpp", "error_body_limit")],
    "a token": [("daemon/source/api_connection.cpp", "token_limit"), ("daemon/source/api_tls.cpp", "pem_limit")],
    "a configuration": [("daemon/config/yaml_tree.hpp", "yaml_size_limit"), ("daemon/config/yaml_tree.hpp", "yaml_depth_limit")],
    "a manifest": [("daemon/source/manifest_directory.cpp", "size_limit"), ("daemon/source/yaml_json.cpp", "text_limit"),
                   ("daemon/source/yaml_json.cpp", "json_limit"), ("daemon/source/yaml_json.cpp", "depth_limit")],
    "entries of": [("ipset/sets.cpp", "largest_maxelem")],
    "a netlink": [("netlink/socket.cpp", "datagram_limit"), ("netlink/socket.hpp", "batch_limit")],
    "what a program": [("os/process.cpp", "output_limit")],
    "headers of": [("daemon/serve/http_request.hpp", "request_limit"), ("daemon/serve/listener.cpp", "connection_limit"),
                   ("daemon/serve/connections.hpp", "each_group"), ("daemon/serve/connections.hpp", "all"),
                   ("daemon/serve/connections.cpp", "connection_time")],
    "a request to the ctl": [("daemon/serve/ctl_request.hpp", "ctl_request_limit"), ("daemon/serve/ctl_server.cpp", "thread_count"),
                             ("daemon/serve/ctl_questions.hpp", "waiting_limit")],
    "Events": [("daemon/report/event_recorder.cpp", "queue_limit"), ("daemon/report/event.cpp", "note_limit")],
}
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def constant(file, name):
    found = re.search(rf"\b{name}(?: = |{{)(?:off_t{{|std::size_t{{)?([\d']+)U?}}?(?: << (\d+))?", (ROOT / file).read_text())
    return int(found[1].replace("'", "")) << int(found[2] or 0)


def said(cell):
    return [int(number.replace(",", "")) * UNITS[unit or ""]
            for number, unit in re.findall(r"(\d[\d,]*\d|\d)(?: (KiB|MiB|GiB))?", re.sub(r"\(.*?\)", "", cell))]


class Limits(unittest.TestCase):
    def test_each_row(self):
        table = (ROOT / "docs/reliability.md").read_text().split("\n## Limits\n")[1].split("\n## ")[0]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| ")][1:]
        for what, limit in rows:
            with self.subTest(what):
                [sources] = [found for start, found in ROWS.items() if what.startswith(start)]
                self.assertEqual(said(limit)[:len(sources)], [constant(*source) for source in sources])
        self.assertEqual(len(rows), len(ROWS))


if __name__ == "__main__":
    unittest.main()
