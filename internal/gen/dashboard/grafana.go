package dashboard

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"netwatchd/internal/rules"
)

// Write writes the dashboard as classic JSON (schema version 39, Grafana 10 and later), which file provisioning reads.
func (d Dashboard) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(d.model())
}

// The types below are Grafana's. Omitted keys have Grafana's defaults.

type model struct {
	UID           string      `json:"uid"`
	Title         string      `json:"title"`
	Description   string      `json:"description"`
	Tags          []string    `json:"tags"`
	SchemaVersion int         `json:"schemaVersion"`
	Editable      bool        `json:"editable"`
	GraphTooltip  int         `json:"graphTooltip"`
	Timezone      string      `json:"timezone"`
	Refresh       string      `json:"refresh"`
	Time          span        `json:"time"`
	Templating    list        `json:"templating"`
	Annotations   list        `json:"annotations"`
	Links         []link      `json:"links"`
	Panels        []gridPanel `json:"panels"`
}

type span struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type list struct {
	List []any `json:"list"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type link struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Tags        []string `json:"tags,omitempty"`
	URL         string   `json:"url,omitempty"`
	Icon        string   `json:"icon"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	TargetBlank bool     `json:"targetBlank"`
}

type variable struct {
	Name       string   `json:"name"`
	Label      string   `json:"label"`
	Type       string   `json:"type"`
	Query      any      `json:"query"`
	Definition string   `json:"definition,omitempty"`
	Datasource *source  `json:"datasource,omitempty"`
	Refresh    int      `json:"refresh"`
	Multi      bool     `json:"multi"`
	IncludeAll bool     `json:"includeAll"`
	AllValue   string   `json:"allValue,omitempty"`
	Current    *current `json:"current,omitempty"`
	Sort       int      `json:"sort"`
}

type lookup struct {
	Query string `json:"query"`
	RefID string `json:"refId"`
}

type current struct {
	Text  string `json:"text"`
	Value string `json:"value"`
}

type mark struct {
	Name            string `json:"name"`
	Datasource      source `json:"datasource"`
	Enable          bool   `json:"enable"`
	IconColor       string `json:"iconColor"`
	Expr            string `json:"expr"`
	Step            string `json:"step"`
	TitleFormat     string `json:"titleFormat"`
	TagKeys         string `json:"tagKeys"`
	UseValueForTime bool   `json:"useValueForTime"`
}

type gridPanel struct {
	ID              int              `json:"id"`
	Title           string           `json:"title"`
	Description     string           `json:"description,omitempty"`
	Type            string           `json:"type"`
	GridPos         place            `json:"gridPos"`
	Datasource      *source          `json:"datasource,omitempty"`
	Targets         []target         `json:"targets,omitempty"`
	FieldConfig     *fieldConfig     `json:"fieldConfig,omitempty"`
	Transformations []transformation `json:"transformations,omitempty"`
	Options         any              `json:"options,omitempty"`
}

type place struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

type target struct {
	RefID        string `json:"refId"`
	Datasource   source `json:"datasource"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat,omitempty"`
	Format       string `json:"format,omitempty"`
	Instant      bool   `json:"instant"`
	Range        bool   `json:"range"`
}

type fieldConfig struct {
	Defaults  field      `json:"defaults"`
	Overrides []override `json:"overrides"`
}

type field struct {
	Unit       string      `json:"unit"`
	NoValue    string      `json:"noValue,omitempty"`
	Min        *int        `json:"min,omitempty"`
	Color      paint       `json:"color"`
	Mappings   []mapping   `json:"mappings,omitempty"`
	Thresholds *thresholds `json:"thresholds,omitempty"`
	Custom     any         `json:"custom,omitempty"`
}

type paint struct {
	Mode       string `json:"mode"`
	FixedColor string `json:"fixedColor,omitempty"`
}

type mapping struct {
	Type    string          `json:"type"`
	Options map[string]word `json:"options"`
}

type word struct {
	Text  string `json:"text"`
	Color string `json:"color,omitempty"`
	Index int    `json:"index"`
}

type thresholds struct {
	Mode  string      `json:"mode"`
	Steps []threshold `json:"steps"`
}

type threshold struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

type override struct {
	Matcher    matcher    `json:"matcher"`
	Properties []property `json:"properties"`
}

type matcher struct {
	ID      string `json:"id"`
	Options string `json:"options"`
}

type property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

type transformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}

// prometheus is the data source selected at the top.
var prometheus = source{"prometheus", "${datasource}"}

// tag is common to the dashboards, so that each links to the others.
const tag = "netwatchd"

func (d Dashboard) model() model {
	return model{
		UID: d.UID, Title: d.Title, Description: d.Description, Tags: []string{tag}, SchemaVersion: 39,
		GraphTooltip: 1, // one cursor for all panels
		Timezone:     "browser", Refresh: "30s", Time: span{"now-6h", "now"},
		Templating:  list{d.variables()},
		Annotations: list{d.marks()},
		Links: []link{
			{
				Title:       "netwatchd",
				Type:        "dashboards",
				Tags:        []string{tag},
				Icon:        "external link",
				IncludeVars: true,
				KeepTime:    true,
			},
			{Title: "Runbooks", Type: "link", URL: rules.Default().Runbooks + "/README.md", Icon: "doc", TargetBlank: true},
		},
		Panels: d.panels(),
	}
}

func (d Dashboard) variables() []any {
	all := []any{variable{Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus", Refresh: 1}}
	for _, v := range d.Variables {
		all = append(all, variable{
			Name: v.Label, Label: v.Title, Type: "query", Query: lookup{v.Lookup(), v.Label}, Definition: v.Lookup(),
			Datasource: &prometheus,
			Refresh:    2, // whenever the time range changes: hosts come and go
			Multi:      true, IncludeAll: true, AllValue: ".+", Current: &current{"All", "$__all"},
			Sort: 1,
		})
	}
	return all
}

// Lookup is the variable's query in the syntax of Grafana's Prometheus data source.
func (v Variable) Lookup() string { return "label_values(" + v.Series + ", " + v.Label + ")" }

func (d Dashboard) marks() []any {
	all := []any{}
	for _, a := range d.Annotations {
		all = append(all, mark{
			Name: a.Name, Datasource: prometheus, Enable: true, IconColor: a.Color, Expr: a.Expr,
			Step:        "30s", // the default interval of probes: nothing changes faster for long
			TitleFormat: a.Text, TagKeys: "cause", UseValueForTime: a.Points,
		})
	}
	return all
}

// panels lays out the rows from top to bottom.
func (d Dashboard) panels() []gridPanel {
	var all []gridPanel
	y := 0
	add := func(p gridPanel) {
		p.ID = len(all) + 1
		all = append(all, p)
	}
	for _, row := range d.Rows {
		if row.Title != "" {
			add(gridPanel{Title: row.Title, Type: "row", GridPos: place{0, y, 24, 1}})
			y++
		}
		x := 0
		for _, p := range row.Panels {
			add(p.model(place{x, y, p.Width, row.Height}))
			x += p.Width
		}
		y += row.Height
	}
	return all
}

func (p Panel) model(at place) gridPanel {
	return gridPanel{
		Title: p.Title, Description: p.Description, Type: types[p.View], GridPos: at, Datasource: &prometheus,
		Targets:         p.targets(),
		FieldConfig:     &fieldConfig{p.defaults(), p.overrides()},
		Transformations: p.transformations(),
		Options:         p.options(),
	}
}

var types = [...]string{
	stat:     "stat",
	timeline: "state-timeline",
	lines:    "timeseries",
	stacked:  "timeseries",
	bars:     "bargauge",
	table:    "table",
}

func (p Panel) targets() []target {
	var all []target
	for i, q := range p.Queries {
		t := target{RefID: string(rune('A' + i)), Datasource: prometheus, Expr: q.Expr, LegendFormat: q.Legend,
			Instant: p.View.Instant(), Range: !p.View.Instant()}
		if p.View == table {
			t.Format = "table"
		}
		all = append(all, t)
	}
	return all
}

func (p Panel) defaults() field {
	f := field{
		Unit:       p.Unit,
		NoValue:    p.Empty,
		Color:      paint{Mode: "thresholds"},
		Mappings:   mappings(p.Words),
		Thresholds: steps(p.Scale),
	}
	switch p.View {
	case lines, stacked:
		f.Color.Mode = "palette-classic-by-name" // a class has the same color on every dashboard
		f.Min = new(0)
		f.Custom = p.lines()
	case timeline:
		f.Custom = map[string]any{"fillOpacity": 80, "lineWidth": 0}
	case bars:
		f.Min = new(0)
	}
	return f
}

func (p Panel) lines() map[string]any {
	custom := map[string]any{"drawStyle": "line", "lineInterpolation": "stepAfter", "lineWidth": 1, "fillOpacity": 0,
		"showPoints": "never", "spanNulls": false}
	if p.View == stacked {
		custom["fillOpacity"] = 40
		custom["stacking"] = map[string]any{"mode": "normal", "group": "A"}
	}
	return custom
}

func mappings(words []Word) []mapping {
	if len(words) == 0 {
		return nil
	}
	m := mapping{"value", make(map[string]word)}
	for i, w := range words {
		m.Options[strconv.Itoa(w.Value)] = word{w.Text, w.Color, i}
	}
	return []mapping{m}
}

func steps(scale []Step) *thresholds {
	if len(scale) == 0 {
		return nil
	}
	t := &thresholds{Mode: "absolute"}
	for i, s := range scale {
		step := threshold{Color: s.Color}
		if i > 0 {
			step.Value = &s.From
		}
		t.Steps = append(t.Steps, step)
	}
	return t
}

func (p Panel) overrides() []override {
	all := []override{}
	for _, name := range slices.Sorted(maps.Keys(p.Colors)) {
		all = append(all, override{matcher{"byName", name}, []property{{"color", paint{"fixed", p.Colors[name]}}}})
	}
	for _, c := range p.Columns {
		if properties := c.properties(); len(properties) > 0 {
			all = append(all, override{matcher{"byName", c.Field}, properties})
		}
	}
	return all
}

func (c Column) properties() []property {
	var all []property
	add := func(id string, value any) { all = append(all, property{id, value}) }
	if c.Name != "" {
		add("displayName", c.Name)
	}
	if c.Unit != "" {
		add("unit", c.Unit)
	}
	if c.Width > 0 {
		add("custom.width", c.Width)
	}
	if c.Link != "" {
		add("links", []map[string]any{{"title": "Overview", "url": c.Link}})
	}
	if len(c.Words) > 0 {
		add("mappings", mappings(c.Words))
	}
	if len(c.Scale) > 0 {
		add("thresholds", steps(c.Scale))
	}
	switch {
	case len(c.Scale) > 0, len(c.Words) > 0 && c.Words[0].Color != "":
		add("custom.cellOptions", map[string]any{"type": "color-background", "mode": "basic", "wrapText": true})
	case len(c.Words) > 0:
		add("custom.cellOptions", map[string]any{"type": "auto", "wrapText": true})
	}
	return all
}

// transformations merge the queries of a table into one line for each set of labels.
func (p Panel) transformations() []transformation {
	if p.View != table {
		return nil
	}
	excluded, index := make(map[string]bool), make(map[string]int)
	for _, field := range p.Hidden {
		excluded[field] = true
	}
	for i, c := range p.Columns {
		index[c.Field] = i
	}
	return []transformation{
		{"merge", map[string]any{}},
		{"organize", map[string]any{"excludeByName": excluded, "indexByName": index, "renameByName": map[string]string{}}},
	}
}

func (p Panel) options() any {
	latest := map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	switch p.View {
	case stat:
		text := "value"
		if strings.Contains(p.Queries[0].Legend, "{{") {
			text = "value_and_name"
		}
		return map[string]any{"reduceOptions": latest, "colorMode": "background", "graphMode": "none", "textMode": text}
	case bars:
		return map[string]any{
			"reduceOptions": latest,
			"orientation":   "horizontal",
			"displayMode":   "basic",
			"showUnfilled":  true,
		}
	case timeline:
		return map[string]any{
			"mergeValues": true,
			"showValue":   "auto",
			"rowHeight":   0.9,
			"legend":      map[string]any{"showLegend": false},
		}
	case table:
		return map[string]any{"showHeader": true, "cellHeight": "sm"}
	}
	return map[string]any{
		"legend":  map[string]any{"showLegend": true, "displayMode": "list", "placement": "bottom"},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
	}
}
