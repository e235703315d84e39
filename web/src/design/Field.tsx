import { type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, useId } from "react";
import "./field.css";

type Around = { label: string; /** What helps to fill it in. */ hint?: ReactNode; /** What is wrong with it now. */ problem?: string | null };

function Frame({ id, label, hint, problem, children }: Around & { id: string; children: ReactNode }) {
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children}
      {hint && <p id={`${id}-hint`} className="field-hint">{hint}</p>}
      {problem && <p id={`${id}-problem`} className="field-problem" role="alert">{problem}</p>}
    </div>
  );
}

function described(id: string, { hint, problem }: Around) {
  return [hint && `${id}-hint`, problem && `${id}-problem`].filter(Boolean).join(" ") || undefined;
}

export function TextField({ label, hint, problem, ...rest }: Around & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint} problem={problem ?? null}>
      <input id={id} className="input" aria-invalid={problem ? true : undefined} aria-describedby={described(id, { label, hint, problem: problem ?? null })} {...rest} />
    </Frame>
  );
}

export function SelectField({ label, hint, problem, children, ...rest }: Around & SelectHTMLAttributes<HTMLSelectElement>) {
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint} problem={problem ?? null}>
      <select id={id} className="input" aria-describedby={described(id, { label, hint, problem: problem ?? null })} {...rest}>
        {children}
      </select>
    </Frame>
  );
}

type SwitchProps = {
  label: string;
  hint?: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
  testid?: string;
};

/** On or off, at once; what it does is in its label. */
export function Switch({ label, hint, checked, onChange, disabled, testid }: SwitchProps) {
  const id = useId();
  return (
    <div className="switch-row">
      <div>
        <label htmlFor={id}>{label}</label>
        {hint && <p id={`${id}-hint`} className="field-hint">{hint}</p>}
      </div>
      <button
        id={id}
        type="button"
        role="switch"
        className="switch"
        aria-checked={checked}
        aria-describedby={hint ? `${id}-hint` : undefined}
        disabled={disabled}
        data-testid={testid}
        onClick={() => onChange(!checked)}
      />
    </div>
  );
}
