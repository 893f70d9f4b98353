//! Seconds and memory of each step.

use longvu::MemoryPlan;
use maud::{Markup, html};

use super::{data::Run, words};

/// The forecast's steps, and the bytes that each was to take.
pub fn forecast(plan: &MemoryPlan) -> Vec<(&'static str, u64)> {
    plan.stages.iter().map(|stage| (stage.stage.name(), stage.total(plan.settings.compute))).collect()
}

/// The section.
pub fn section(run: &Run) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "step" } th { "seconds" } th { "most memory so far" } } }
            tbody {
                @for cost in &run.steps {
                    tr.within[cost.within] {
                        td { (cost.step) }
                        (words::number(format!("{:.2}", cost.seconds)))
                        (words::number(cost.peak.map_or_else(String::new, megabytes)))
                    }
                }
                tr.total {
                    td { "all, from start to end" }
                    (words::number(format!("{:.2}", run.timings.total)))
                    td {}
                }
            }
        } }
        @if run.towers.dinov2_repeats > 0 {
            p {
                (words::count(run.towers.dinov2, "frame")) " went through DINOv2 and " (run.towers.siglip) " through SigLIP; "
                (run.towers.dinov2_repeats) " and " (run.towers.siglip_repeats)
                " did not, for they repeat the one before them and have what came of that."
            }
        }
        p.small {
            "The parts of encoding run beside each other, and may take longer together than it. Memory is the program's most since it \
             was started, an earlier run included."
        }
        @if !run.forecast_steps.is_empty() {
            details {
                summary { "Memory that was forecast" }
                div.scroll { table {
                    thead { tr { th { "step" } th { "memory" } } }
                    tbody { @for (step, bytes) in &run.forecast_steps { tr { td { (step) } (words::number(megabytes(*bytes))) } } }
                } }
            }
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
