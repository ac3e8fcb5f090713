// Package dashboard has the Grafana dashboards of netwatchd.
//
// What they show of a cause comes of the table of causes, so that neither drifts from the other.
package dashboard

// All are the dashboards that are shipped.
func All() []Dashboard { return []Dashboard{overview(), probeDetail(), fleet()} }

// A Dashboard is one screen, from top to bottom.
type Dashboard struct {
	UID         string // of its address, /d/UID; also the name of its file
	Title       string
	Description string
	Variables   []Variable
	Annotations []Annotation
	Rows        []Row
}

// A Variable is a choice at the top of the dashboard: the values of a label, several at once, all by default.
type Variable struct {
	Label  string // also its name
	Title  string
	Series string // in which the label is looked up; the variables before it narrow it down
}

// An Annotation marks times in every panel that has a time axis.
type Annotation struct {
	Name  string
	Expr  string
	Text  string // may name labels: {{cause}}
	Color string
	// Moment: each value of Expr is the time, in milliseconds, of one mark; otherwise each span in which Expr has a value is.
	Moment bool
}

// A Row is panels of one height beside each other.
type Row struct {
	Title  string // empty: it belongs to the row above
	Height int    // in units of 30 pixels
	Panels []Panel
}

// A Panel answers one question, which its title names and its description explains.
type Panel struct {
	Title       string
	Description string
	Width       int // of 24
	Unit        string
	View        View
	Queries     []Query
	Scale       []Step            // colours by value, in ascending order
	Words       []Word            // for certain values, instead of a number
	Colors      map[string]string // of series, by their name in the legend
	Columns     []Column          // of a table, from left to right
	Hidden      []string          // fields of a table that are not shown
	Empty       string            // what stands there if there is nothing to show
}

// A View is how a panel is drawn.
type View uint8

const (
	Stat     View = iota // large, with its background coloured
	Timeline             // what held when, a bar for each series
	Lines
	Stacked
	Bars // the latest value of each series
	Table
)

// A Query is a series of PromQL, with the name of each of its series in the legend.
type Query struct {
	Expr   string
	Legend string // may name labels: {{cause}}
}

// Instant reports whether the view shows the latest value only.
func (v View) Instant() bool { return v == Stat || v == Bars || v == Table }

// A Step is the colour of values from From on; the first one's From is ignored.
type Step struct {
	From  float64
	Color string
}

// A Word stands for a value.
type Word struct {
	Value int
	Text  string
	Color string // empty: as it is
}

// A Column is a field of a table: a label, or the value of a query.
type Column struct {
	Field string // "Value #B" is the value of the second query, "Value" that of an only one
	Name  string // at its head; empty: the field's
	Unit  string
	Words []Word
	Scale []Step
	Width int    // in pixels; 0: what is left
	Link  string // may name fields: ${__data.fields.instance}
}
