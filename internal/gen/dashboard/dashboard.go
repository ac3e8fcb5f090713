// Package dashboard defines the Grafana dashboards of netwatchd.
//
// Titles and advice come from the table of causes, so that the dashboards cannot contradict it.
package dashboard

// All returns the shipped dashboards.
func All() []Dashboard { return []Dashboard{overview(), probeDetail(), fleet()} }

// A Dashboard is one screen, from top to bottom.
type Dashboard struct {
	UID         string // in its URL, /d/UID; also the name of its file
	Title       string
	Description string
	Variables   []Variable
	Annotations []Annotation
	Rows        []Row
}

// A Variable is a selection at the top of the dashboard: any number of values of a label, by default all.
type Variable struct {
	Label  string // also its name
	Title  string
	Series string // whose label values are offered, narrowed down by the variables before it
}

// An Annotation marks times in every panel that has a time axis.
type Annotation struct {
	Name  string
	Expr  string
	Text  string // may name labels: {{cause}}
	Color string
	// Points means that each value of Expr is the time of one mark, in milliseconds. Otherwise each time span in
	// which Expr has a value is marked.
	Points bool
}

// A Row is a row of panels of the same height.
type Row struct {
	Title  string // empty: part of the row above
	Height int    // in units of 30 pixels
	Panels []Panel
}

// A Panel answers one question. Its title names the question and its description explains it.
type Panel struct {
	Title       string
	Description string
	Width       int // of 24 columns
	Unit        string
	View        View
	Queries     []Query
	Scale       []Step            // colors by value, in ascending order
	Words       []Word            // text shown instead of certain values
	Colors      map[string]string // of series, by name in the legend
	Columns     []Column          // of a table, from left to right
	Hidden      []string          // fields that a table does not show
	Empty       string            // text if there is no data
}

// A View is how a panel is drawn.
type View uint8

const (
	stat     View = iota // a large value with a colored background
	timeline             // states over time, a bar for each series
	lines
	stacked
	bars // the latest value of each series
	table
)

// A Query is a PromQL expression and the legend of its series.
type Query struct {
	Expr   string
	Legend string // may name labels: {{cause}}
}

// Instant reports whether the view shows only the latest value.
func (v View) Instant() bool { return v == stat || v == bars || v == table }

// A Step is the color of values from From on. The first From is ignored.
type Step struct {
	From  float64
	Color string
}

// A Word is the text shown for a value.
type Word struct {
	Value int
	Text  string
	Color string // empty: the default
}

// A Column is a field of a table: a label, or the value of a query.
type Column struct {
	Field string // "Value #B" is the value of the second query, "Value" that of a single one
	Name  string // its heading; empty: the field's name
	Unit  string
	Words []Word
	Scale []Step
	Width int    // in pixels; 0: the remaining width
	Link  string // may name fields: ${__data.fields.instance}
}
