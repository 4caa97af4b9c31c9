// The pages in their order, and the right that each needs.
import { Audit } from "./audit.js";
import { Autopilot } from "./autopilot.js";
import { Backups } from "./backups.js";
import { Cost } from "./cost.js";
import { Keys } from "./keys.js";
import { Migrations } from "./migrations.js";
import { Moves } from "./moves.js";
import { Overview } from "./overview.js";
import { Plan } from "./plan.js";
import { Tenants } from "./tenants.js";

export const PAGES = [
  { key: "overview", title: "Overview", right: "see", view: Overview },
  { key: "tenants", title: "Tenants", right: "see", view: Tenants },
  { key: "moves", title: "Moves", right: "see", view: Moves },
  { key: "plan", title: "Plan", right: "see", view: Plan },
  { key: "migrations", title: "Migrations", right: "see", view: Migrations },
  { key: "autopilot", title: "Auto-pilot", right: "see", view: Autopilot },
  { key: "cost", title: "Cost", right: "see", view: Cost },
  { key: "backups", title: "Backups", right: "admin", view: Backups },
  { key: "keys", title: "Keys", right: "admin", view: Keys },
  { key: "audit", title: "Audit", right: "see", view: Audit },
];
