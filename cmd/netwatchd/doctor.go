package main

import (
	"github.com/spf13/cobra"

	"netwatchd/internal/doctor"
	"netwatchd/internal/plan"
	"netwatchd/internal/screen"
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this installation and print what to change",
		Long: `Check this installation: the agent and its sandbox, the systemd unit, the
daemon and its files, Prometheus, the clock, proxies and, under WSL, the WSL
settings. For each problem, print the command to run or the line to change.
doctor changes nothing and costs no tokens.

Run it as the user whose agent is watched.

Exit code: 0 no fault, 1 a fault, 2 a check is inconclusive, 3 usage or
configuration error.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			report := doctor.Examine(cmd.Context(), doctor.Installation{
				Host: doctor.Here(), Config: c, Plan: plan.Of(c), Version: build().Version})
			if err := cmd.Context().Err(); err != nil {
				return failed(err)
			}
			if asJSON {
				err = printJSON(a.out, "doctor", report)
			} else {
				err = screen.Doctor(a.out, report, screenOptions(a.out, false))
			}
			if err != nil {
				return failed(err)
			}
			return done(doctorExit(report))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}

func doctorExit(r doctor.Report) int {
	switch r.Worst() {
	case doctor.Fault:
		return exitFault
	case doctor.Unknown:
		return exitInconclusive
	}
	return exitHealthy
}
