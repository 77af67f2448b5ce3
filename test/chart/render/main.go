// Renders a Helm chart as Helm 3 does, for tests: text/template, Sprig and those of Helm's own functions and objects
// that charts commonly use. Anything else is an error, and so is a value that is not there.
//
//	render CHART <CASES
//
// CASES is a JSON list of {"values": {...}, "release": "...", "namespace": "...", "lint": false}; with "lint" it is as
// "helm lint" does: what is required may be missing, and "fail" does not. The answer is a JSON list of
// {"files": {"templates/x.yaml": "..."}, "notes": "..."} or {"error": "..."}.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type values = map[string]interface{}

type testCase struct {
	Values    values `json:"values"`
	Release   string `json:"release"`
	Namespace string `json:"namespace"`
	Lint      bool   `json:"lint"`
}

type answer struct {
	Files map[string]string `json:"files,omitempty"`
	Notes string            `json:"notes,omitempty"`
	Error string            `json:"error,omitempty"`
}

// Helm's .Files.
type files map[string]string

func (f files) Get(name string) string { return f[name] }

// Helm's .Capabilities.APIVersions and .KubeVersion.
type versionSet []string

func (v versionSet) Has(version string) bool {
	for _, known := range v {
		if known == version {
			return true
		}
	}
	return false
}

type kubeVersion struct{ Version, Major, Minor string }

func (v kubeVersion) String() string { return v.Version }

type chart struct {
	metadata  values // with Go's capital letters: .Chart.AppVersion
	defaults  values
	templates map[string]string
	files     files
}

func read(path string, into interface{}) error {
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.UnmarshalStrict(text, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func load(folder string) (*chart, error) {
	var metadata values
	loaded := chart{metadata: values{}, templates: map[string]string{}, files: files{}}
	if err := read(filepath.Join(folder, "Chart.yaml"), &metadata); err != nil {
		return nil, err
	}
	for key, value := range metadata {
		loaded.metadata[strings.ToUpper(key[:1])+key[1:]] = value
	}
	if err := read(filepath.Join(folder, "values.yaml"), &loaded.defaults); err != nil {
		return nil, err
	}
	err := filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if strings.HasPrefix(name, "templates/") {
			loaded.templates[name] = string(text)
		} else {
			loaded.files[name] = string(text)
		}
		return err
	})
	return &loaded, err
}

// What the user gives wins; null takes a default away (chartutil.CoalesceTables).
func coalesce(given, defaults values) values {
	merged := values{}
	for key, value := range defaults {
		merged[key] = value
	}
	for key, value := range given {
		theirs, isMap := value.(values)
		ours, wasMap := merged[key].(values)
		switch {
		case value == nil && merged[key] != nil:
			delete(merged, key)
		case isMap && wasMap:
			merged[key] = coalesce(theirs, ours)
		default:
			merged[key] = value
		}
	}
	return merged
}

// Templates may change what they are given; the next case must not see it.
func deepCopy(from values) (values, error) {
	text, err := json.Marshal(from)
	if err != nil {
		return nil, err
	}
	var to values
	return to, json.Unmarshal(text, &to)
}

func toYaml(value interface{}) (string, error) {
	text, err := yaml.Marshal(value)
	return strings.TrimSuffix(string(text), "\n"), err
}

func fromYaml(text string) (values, error) {
	parsed := values{}
	return parsed, yaml.Unmarshal([]byte(text), &parsed)
}

func required(message string, value interface{}) (interface{}, error) {
	if value == nil || value == "" {
		return nil, errors.New(message)
	}
	return value, nil
}

func functions(set *template.Template, lint bool) template.FuncMap {
	all := sprig.TxtFuncMap()
	// Helm takes these two away.
	delete(all, "env")
	delete(all, "expandenv")
	all["toYaml"] = toYaml
	all["fromYaml"] = fromYaml
	all["required"] = required
	if lint {
		all["required"] = func(message string, value interface{}) (interface{}, error) {
			if _, err := required(message, value); err != nil {
				return "", nil
			}
			return value, nil
		}
		all["fail"] = func(string) (string, error) { return "", nil }
	}
	all["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := set.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	all["tpl"] = func(text string, data interface{}) (string, error) {
		clone, err := set.Clone()
		if err != nil {
			return "", err
		}
		parsed, err := clone.New("tpl").Parse(text)
		if err != nil {
			return "", err
		}
		var out bytes.Buffer
		err = parsed.Execute(&out, data)
		return out.String(), err
	}
	return all
}

func (c *chart) render(asked testCase) (*answer, error) {
	merged, err := deepCopy(coalesce(asked.Values, c.defaults))
	if err != nil {
		return nil, err
	}
	set := template.New("chart").Option("missingkey=error")
	set.Funcs(functions(set, asked.Lint))
	for name, text := range c.templates {
		if _, err := set.New(name).Parse(text); err != nil {
			return nil, err
		}
	}
	context := values{
		"Values": merged,
		"Chart":  c.metadata,
		"Files":  c.files,
		"Release": values{"Name": asked.Release, "Namespace": asked.Namespace, "Service": "Helm", "IsInstall": true,
			"IsUpgrade": false, "Revision": 1},
		"Capabilities": values{"KubeVersion": kubeVersion{"v1.32.0", "1", "32"},
			"APIVersions": versionSet{"v1", "apps/v1", "rbac.authorization.k8s.io/v1", "monitoring.coreos.com/v1"}},
	}
	result := answer{Files: map[string]string{}}
	for name := range c.templates {
		base := filepath.Base(name)
		if strings.HasPrefix(base, "_") {
			continue
		}
		context["Template"] = values{"Name": name, "BasePath": "templates"}
		var out bytes.Buffer
		if err := set.ExecuteTemplate(&out, name, context); err != nil {
			return nil, err
		}
		if base == "NOTES.txt" {
			result.Notes = out.String()
		} else {
			result.Files[name] = out.String()
		}
	}
	return &result, nil
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: render CHART <CASES")
	}
	loaded, err := load(os.Args[1])
	if err != nil {
		return err
	}
	var cases []testCase
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		return err
	}
	answers := []*answer{}
	for _, asked := range cases {
		rendered, err := loaded.render(asked)
		if err != nil {
			rendered = &answer{Error: err.Error()}
		}
		answers = append(answers, rendered)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}
