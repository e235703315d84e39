import { expect, test } from "vitest";
import { routeOf } from "./router";

test("every address leads somewhere, and what we do not know is lost", () => {
  const names = ["/", "/gallery", "/gallery/", "/credits", "/admin", "/admin/orders/7", "/share/abc", "/share", "/share/a/b", "/x"];
  expect(names.map((path) => routeOf(path).name)).toEqual([
    "home", "gallery", "gallery", "credits", "admin", "admin", "share", "lost", "lost", "lost",
  ]);
  expect([routeOf("/share/abc"), routeOf("/admin/orders/7")]).toEqual([
    { name: "share", imageId: "abc" },
    { name: "admin", rest: "orders/7" },
  ]);
});
