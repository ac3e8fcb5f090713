package store

// migrations each take the store from one version to the next; the store's version is the number of those applied.
// Only append: existing files have run the migrations they were created with.
//
// Times are milliseconds since 1970; minutes and hours are whole minutes and hours since 1970.
var migrations = []string{`
CREATE TABLE series (id INTEGER PRIMARY KEY, service TEXT NOT NULL, probe TEXT NOT NULL, kind TEXT NOT NULL, vantage TEXT NOT NULL,
	UNIQUE (service, probe, kind, vantage));
-- All series of a minute in one row, so that a minute of ten thousand probes is one insert at the end of a file.
CREATE TABLE minutes (minute INTEGER PRIMARY KEY, body BLOB NOT NULL);
-- An hour of a series; after its end the minutes are brought here, so that a series can be read by itself.
CREATE TABLE hours (series INTEGER NOT NULL, hour INTEGER NOT NULL, count INTEGER NOT NULL, failed INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX hours_of ON hours (series, hour);
CREATE TABLE details (series INTEGER NOT NULL, hour INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX details_of ON details (series, hour);

CREATE TABLE incidents (id TEXT PRIMARY KEY, service TEXT NOT NULL, day TEXT NOT NULL, number INTEGER NOT NULL,
	opened INTEGER NOT NULL, closed INTEGER, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX incidents_by_time ON incidents (opened);
CREATE INDEX incidents_by_service ON incidents (service, opened);
CREATE TABLE notes (id INTEGER PRIMARY KEY, incident TEXT NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX notes_of ON notes (incident);
CREATE TABLE snapshots (incident TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
-- What showed an incident: a result of each kind that was seen, the first time it was, and how often.
CREATE TABLE evidence (incident TEXT NOT NULL, sign TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (incident, sign));

-- What happened, in order: verdicts that moved, runs of an agent, suspends.
CREATE TABLE verdicts (id INTEGER PRIMARY KEY, service TEXT NOT NULL, at INTEGER NOT NULL, was TEXT NOT NULL, cause TEXT NOT NULL,
	incident TEXT, body TEXT NOT NULL);
CREATE INDEX verdicts_by_service ON verdicts (service, at);
CREATE INDEX verdicts_of ON verdicts (incident);
CREATE TABLE attempts (id INTEGER PRIMARY KEY, service TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX attempts_by_service ON attempts (service, at);
CREATE TABLE suspends (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, away INTEGER NOT NULL);
CREATE TABLE runs (started INTEGER PRIMARY KEY, version TEXT NOT NULL, seen INTEGER NOT NULL, ended INTEGER);
CREATE TABLE costs (service TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
`, `
ALTER TABLE incidents ADD COLUMN observation INTEGER NOT NULL DEFAULT 0; -- 1: not a fault
ALTER TABLE attempts ADD COLUMN manual INTEGER NOT NULL DEFAULT 0; -- 1: a person made it with backtest
-- The host when an incident closed; snapshots has it when the incident began.
CREATE TABLE end_snapshots (incident TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
`, `
-- Rows of other tables that could not be decoded, each as the statement that inserts it again.
CREATE TABLE damaged (id INTEGER PRIMARY KEY, found INTEGER NOT NULL, origin TEXT NOT NULL, reason TEXT NOT NULL, statement TEXT NOT NULL);
`}

// tables lists the tables whose rows Check counts.
var tables = []string{"incidents", "notes", "snapshots", "end_snapshots", "evidence", "verdicts", "attempts",
	"suspends", "runs", "costs", "series", "minutes", "hours", "details", "damaged"}
