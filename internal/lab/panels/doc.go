// Package panels asks every query of the dashboards of a real Prometheus, after it has scraped real daemons through
// several scenes: a panel that stays empty, or drowns in series, is found here.
package panels
