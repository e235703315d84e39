import "./icon.css";

/** Line drawings on a grid of 24, drawn for this page. */
const PATHS = {
  close: "M5 5l14 14M19 5L5 19",
  check: "M4 12.500l5.500 5.500L20 6.500",
  left: "M15 4l-8 8 8 8",
  right: "M9 4l8 8-8 8",
  down: "M4 9l8 8 8-8",
  up: "M12 20V5M5 11.500L12 4.500l7 7",
  plus: "M12 4v16M4 12h16",
  retry: "M19.500 12a7.500 7.500 0 1 1-2.300-5.400M19.500 3v4.500H15",
  trash: "M4 6.500h16M9 6.500V4h6v2.500M6 6.500L7 20h10l1-13.500M10 10.500v6M14 10.500v6",
  download: "M12 4v11M6.500 10.500L12 16l5.500-5.500M4 20h16",
  share: "M12 14.500V3.500M7.500 7.500L12 3.500l4.500 4M6 11H4.500v9.500h15V11H18",
  link: "M10 14l4-4M8.500 11L6 13.500a3.500 3.500 0 0 0 5 5L13.500 16M10.500 8L13 5.500a3.500 3.500 0 0 1 5 5L15.500 13",
  star: "M12 3.500l2.700 5.600 6.100.8-4.500 4.200 1.100 6.100L12 17.200l-5.400 3 1.100-6.100L3.200 9.900l6.100-.8z",
  camera: "M3 7.500h4.500L9 5h6l1.500 2.500H21v12H3zM12 16.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7z",
  flip: "M4 9.500C5 6 8.200 4 12 4c3 0 5.600 1.500 7 4M20 14.500c-1 3.500-4.200 5.500-8 5.500-3 0-5.600-1.500-7-4M19.500 3.500V8H15M4.500 20.500V16H9",
  picture: "M3.500 4.500h17v15h-17zM3.500 16l5-5 4 4 3-3 5 5M15.500 9.500a1.500 1.500 0 1 0 0-.1",
  compare: "M12 3v18M4 6.500h5v11H4M15 6.500h5v11h-5",
  credit: "M12 3.500C14 8 19 11 19 15.500a7 5.500 0 0 1-14 0C5 11 10 8 12 3.500z",
  clock: "M12 20.500a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17zM12 7v5.500l3.500 2",
  shield: "M12 3.500l7.500 2.500v6c0 4.500-3.200 7.300-7.500 8.500C7.700 19.300 4.500 16.500 4.500 12V6z",
  pulse: "M3 12.500h4.500l2.500-7 4.500 13.500 2.500-6.500h4",
  menu: "M4 7h16M4 12h16M4 17h16",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  out: "M14 4H5v16h9M10 12h10M16.500 8l4 4-4 4",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 20.500c.8-4 4-6 8-6s7.200 2 8 6",
  warning: "M12 4L2.500 20h19zM12 10v5M12 17.700v.1",
  offline: "M3 3l18 18M8.500 15a5 5 0 0 1 7 0M5 11.500a10 10 0 0 1 4-2.400M13 8.600a10 10 0 0 1 6 2.900M12 19v.1",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2.500V5M12 19v2.500M2.500 12H5M19 12h2.500M5.300 5.300L7 7M17 17l1.700 1.700M5.300 18.700L7 17M17 7l1.700-1.700",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  search: "M10.500 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13zM15.500 15.500l5 5",
  external: "M13 4h7v7M20 4l-9.500 9.500M17 14.500V20H4V7h5.500",
} as const;

export type IconName = keyof typeof PATHS;

/** Always a companion of words (its own or a button's label), so it is silent to screen readers. */
export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
